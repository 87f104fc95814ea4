package ctrd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

// Where a host keeps its resolvers; the second is the real list where the first names systemd-resolved's own address.
const (
	resolvConf        = "/etc/resolv.conf"
	resolvConfSystemd = "/run/systemd/resolve/resolv.conf"
)

// startedFile is written when a container's program is started; its time is the start's.
const startedFile = ".started"

// createFiles lists what is placed into a container: names and resolvers, then the group file's own, which win.
func createFiles(group string, c spec.Container, resolvers []byte) []spec.File {
	if c.Role != spec.Ambassador {
		resolvers = nil
	}
	generated := []spec.File{
		{Path: "/etc/hostname", Content: []byte(group + "\n")},
		{Path: "/etc/hosts", Content: fmt.Appendf(nil, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", group)},
		{Path: "/etc/resolv.conf", Content: resolvers},
	}
	var files []spec.File
	for _, g := range generated {
		if !has(c.Files, g.Path) {
			files = append(files, g)
		}
	}
	return append(files, c.Files...)
}

func has(files []spec.File, path string) bool {
	for _, f := range files {
		if filepath.Clean(f.Path) == path {
			return true
		}
	}
	return false
}

// placeFiles says where below dir each file is to be: under its position in the list.
func placeFiles(dir string, files []spec.File) []placedFile {
	var placed []placedFile
	for i, f := range files {
		placed = append(placed, placedFile{Source: filepath.Join(dir, strconv.Itoa(i)), Path: f.Path})
	}
	return placed
}

// writeFiles puts the files where placeFiles says, in a folder made anew. Nothing reads them before the container has a
// task, and it gets one only after all of them are written.
func writeFiles(dir string, files []spec.File) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("old files of the container: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder for the container's files: %w", err)
	}
	for i, place := range placeFiles(dir, files) {
		f := files[i]
		mode := os.FileMode(0o444)
		if f.Mode != 0 {
			mode = os.FileMode(f.Mode).Perm()
		}
		if err := os.WriteFile(place.Source, f.Content, 0o600); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		if err := os.Chmod(place.Source, mode); err != nil { // not subject to the umask
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	return nil
}

// removeFiles takes away a container's files, and the group's folder with the last of them.
func removeFiles(l shim.Layout, group, container string) error {
	dir := l.FilesPath(group, container)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("files of %s: %w", spec.ID(group, container), err)
	}
	_ = os.Remove(filepath.Dir(dir)) // not empty: others of the group have files
	return nil
}

// hostResolvers is the ambassador's resolv.conf. A resolver on the host's loopback can't be reached from the group, so where
// the host's file names no other the real list behind it is taken.
func hostResolvers() ([]byte, error) {
	first, err := os.ReadFile(resolvConf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the host's resolvers: %w", err)
	}
	if reachableResolver(first) {
		return first, nil
	}
	if second, err := os.ReadFile(resolvConfSystemd); err == nil {
		return second, nil
	}
	return first, nil
}

// reachableResolver reports whether a resolv.conf names a server off the host's loopback.
func reachableResolver(conf []byte) bool {
	for line := range bytes.Lines(conf) {
		words := bytes.Fields(line)
		if len(words) >= 2 && string(words[0]) == "nameserver" && !bytes.HasPrefix(words[1], []byte("127.")) && string(words[1]) != "::1" {
			return true
		}
	}
	return false
}

// markStarted notes when a container's program was started; containerd doesn't.
func markStarted(l shim.Layout, group, container string) error {
	return os.WriteFile(filepath.Join(l.FilesPath(group, container), startedFile), nil, 0o600)
}

// startedAt is what markStarted noted, or zero.
func startedAt(l shim.Layout, group, container string) time.Time {
	info, err := os.Stat(filepath.Join(l.FilesPath(group, container), startedFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
