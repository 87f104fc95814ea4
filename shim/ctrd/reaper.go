package ctrd

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/shim/reaper"
)

// A reaperCopy is the program that is the first process of a container with init = true: this very
// binary, which needs no library of the image. Containers run a copy of it. A file that a process
// runs can't be written, and the daemon's own would be busy as long as they run, so that an
// operator could not copy a new one over it. A copy can also be run by any user.
//
// There is one copy, by its content. The one of an earlier daemon is removed: containers that run
// have it mounted, and keep it.
type reaperCopy struct {
	folder string // optional: "" makes no copy
	self   string // optional: "" means /proc/self/exe, which is also there once the file is replaced

	mu   sync.Mutex
	sum  string // of self
	path string // of the copy that was found to be right
}

// findReaper returns the program.
func (c *Client) findReaper() (oci.File, error) {
	f, why, err := c.reaper.find()
	if err == nil && why != nil {
		c.log.Warn("a container with init runs the daemon's own program, which can't be written meanwhile", "error", why)
	}
	return f, err
}

// find returns the program. If no copy can be made, such as on a full disk, it is the daemon's own
// file, and why holds the reason.
func (r *reaperCopy) find() (f oci.File, why, err error) {
	self := r.self
	if self == "" {
		self = "/proc/self/exe"
	}
	if err := checkReaper(self); err != nil {
		return oci.File{}, nil, err
	}
	path, why := r.copy(self)
	if why != nil {
		if path, err = os.Readlink(self); err != nil {
			return oci.File{}, why, fmt.Errorf("init: %w", errors.Join(err, why))
		}
		if err := checkRunnable(path); err != nil {
			return oci.File{}, why, &hint.Error{
				Err:  fmt.Errorf("init: no copy of the daemon's program could be made (%w), and containers can't run the program itself: %w", why, err),
				Hint: "make place for the copy in " + r.folder + ", or put the program back with mode 0755 and restart the daemon",
			}
		}
	}
	return oci.File{Source: path, Path: reaper.Path}, why, nil
}

// checkReaper returns why the program can't be the first process of a container.
func checkReaper(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return &hint.Error{Err: errors.New("init: the daemon's program needs libraries that an image may not have"), Hint: "build it with CGO_ENABLED=0, or take init out of the container's block"}
	}
	return nil
}

// checkRunnable returns why a container can't run the program as any user.
func checkRunnable(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode()&0o001 == 0 {
		return fmt.Errorf("only some users may run %s: its mode is %04o", path, fi.Mode().Perm())
	}
	return nil
}

// copy returns the path of a right copy, which it makes if there is none.
func (r *reaperCopy) copy(self string) (path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.folder == "" {
		return "", errors.New("there is no state folder")
	}
	if r.path != "" {
		if _, err := os.Lstat(r.path); err == nil {
			return r.path, nil
		}
		r.path = ""
	}
	if r.sum == "" {
		if r.sum, err = sumOf(self); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(r.folder, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(r.folder, r.sum)
	if has, err := sumOf(path); err != nil || has != r.sum || checkRunnable(path) != nil {
		if err := r.make(self, path); err != nil {
			return "", err
		}
	}
	if err := checkMount(path); err != nil {
		return "", err
	}
	r.removeOthers(path)
	r.path = path
	return path, nil
}

// sumOf returns the digest of a file's content.
func sumOf(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is no plain file", path))
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// make makes the copy as a whole or not at all.
func (r *reaperCopy) make(self, path string) error {
	in, err := os.Open(self)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(r.folder, ".copying-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // it has another name by then, if all went well
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o555), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}

// checkMount returns an error if no program can be run from the file system of the copy.
func checkMount(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fs.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("%s is mounted with noexec", filepath.Dir(path))
	}
	return nil
}

// removeOthers removes the copies of earlier daemons, and what an interrupted copy has left.
func (r *reaperCopy) removeOthers(path string) {
	entries, _ := os.ReadDir(r.folder)
	for _, e := range entries {
		if at := filepath.Join(r.folder, e.Name()); at != path {
			_ = os.Remove(at)
		}
	}
}
