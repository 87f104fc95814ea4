// Package cgroup finds the host's cgroup hierarchies, and makes, finds, lists and removes cgroups
// in them. It is the only reader of the cgroup mounts.
//
// Pitfall: the kernel's number for a cgroup belongs to one directory. A cgroup removed and made
// again has another number.
package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/kernfile"
)

// A Cgroup names a v2 cgroup in a rule.
type Cgroup struct {
	ID    uint64 // the kernel's number for it; not used again while the host runs
	Level uint32 // its depth below the root of the hierarchy, which is 0
}

// Make creates a cgroup below the v2 root, with its parents, and returns it. An existing cgroup is
// used.
func (h Hierarchies) Make(path string) (Cgroup, error) {
	var err error
	for range makeTries {
		if err = os.MkdirAll(filepath.Join(h.V2, path), 0o755); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return Cgroup{}, fmt.Errorf("make cgroup %q: %w", path, err)
	}
	return h.Find(path)
}

// makeTries is how often Make begins again because its parent was removed meanwhile, as
// [Hierarchies.RemoveIfEmpty] does for another group.
const makeTries = 100

// Find returns a cgroup as rules name it. An absent cgroup is os.ErrNotExist.
func (h Hierarchies) Find(path string) (Cgroup, error) {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, filepath.Join(h.V2, path), 0)
	if err != nil {
		return Cgroup{}, fmt.Errorf("find cgroup %q: %w", path, err)
	}
	if handle.Size() != 8 {
		return Cgroup{}, fmt.Errorf("find cgroup %q: its handle has %d bytes, not 8", path, handle.Size())
	}
	return Cgroup{ID: binary.NativeEndian.Uint64(handle.Bytes()), Level: depth(h.Above) + depth(path)}, nil
}

func depth(path string) (n uint32) {
	for _, part := range strings.Split(filepath.Clean(path), "/") {
		if part != "" && part != "." {
			n++
		}
	}
	return n
}

// Children lists the cgroups directly below a path of the v2 hierarchy. An absent path has none.
func (h Hierarchies) Children(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(h.V2, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list cgroups of %q: %w", path, err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Populated reports whether a process is in a cgroup or below it. Nothing is in an absent one.
func (h Hierarchies) Populated(path string) (bool, error) {
	events, err := kernfile.Read(filepath.Join(h.V2, path, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) { // removed while it was open
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for processes in cgroup %q: %w", path, err)
	}
	return !strings.Contains(string(events), "populated 0\n"), nil
}

// Remove deletes a cgroup and those below it in v2 and, on a hybrid host, what the runtime left at
// the same path of the v1 hierarchies. It deletes empty cgroups only. If processes are left in one,
// the error names them. An absent cgroup is no error. V2 comes last, because leftovers are looked
// for there, also after an interrupted removal.
func (h Hierarchies) Remove(path string) error {
	if depth(path) == 0 {
		return errors.New("remove cgroup: the path is the root")
	}
	for _, mount := range slices.Concat(h.V1, []string{h.V2}) {
		if err := removeTree(filepath.Join(mount, path)); err != nil {
			return fmt.Errorf("remove cgroup %q: %w", path, err)
		}
	}
	return nil
}

// RemoveIfEmpty deletes a cgroup without children and processes from every hierarchy. V2 decides
// whether the cgroup is in use: if it stays there, it stays in the other hierarchies as well, where
// the runtime may be about to use it.
func (h Hierarchies) RemoveIfEmpty(path string) {
	if depth(path) == 0 {
		return
	}
	for _, mount := range append([]string{h.V2}, h.V1...) {
		err := unix.Rmdir(filepath.Join(mount, path))
		if mount == h.V2 && err != nil && !errors.Is(err, unix.ENOENT) {
			return
		}
	}
}

func removeTree(dir string) error {
	// In most cases there is no cgroup below, so nothing has to be read.
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
		return readErr
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err = unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")); len(procs) > 0 {
		pids := strings.Fields(string(procs))
		return fmt.Errorf("processes are left in it: %s", strings.Join(pids[:min(len(pids), 10)], ", "))
	}
	return err
}
