package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/spec"
)

// keptPath returns where the text of a file is kept while the file is written in place.
func keptPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".before-fmt")
}

// A rewrite puts another text into a file. The file keeps its names, owner, mode and extended
// attributes, among them its access control list.
//
// A file with one name is replaced by another one with the same attributes. That is one step, so a
// reader and a crash find the old text or the new one. A file with several names, or with
// attributes that can't be given to another file, is written in place. Its old text is on disk
// beside it then, until the new one is.
type rewrite struct {
	path    string // no link
	was, is []byte
	changed func() error // returns an error if the file no longer has the text was
}

func (w rewrite) run() error {
	info, err := os.Lstat(w.path)
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s has no attributes", w.path)
	}
	if s.Nlink == 1 {
		if done, err := w.replace(info.Mode(), s); done || err != nil {
			return err
		}
	}
	return w.inPlace()
}

// replace renames a new file over the old one. done is false, without an error, if the new one
// can't have all that the old one has.
func (w rewrite) replace(mode fs.FileMode, s *syscall.Stat_t) (done bool, err error) {
	pending, err := renameio.NewPendingFile(w.path, renameio.WithPermissions(0o600), renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(w.path)))
	if err != nil {
		return false, err
	}
	defer func() { _ = pending.Cleanup() }() // which does nothing after the file was replaced
	if _, err := pending.Write(w.is); err != nil {
		return false, err
	}
	if int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid() {
		if pending.Chown(int(s.Uid), int(s.Gid)) != nil {
			return false, nil
		}
	}
	// An access control list changes the mode, and a change of the owner clears some attributes.
	if copyAttributes(w.path, pending.Name()) != nil {
		return false, nil
	}
	if err := pending.Chmod(mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)); err != nil {
		return false, err
	}
	if err := w.changed(); err != nil {
		return false, err
	}
	return true, pending.CloseAtomicallyReplace()
}

// copyAttributes gives the extended attributes of one file to another one, which has no others
// then.
func copyAttributes(from, to string) error {
	want, err := attributesOf(from)
	if err != nil {
		return err
	}
	got, err := attributesOf(to)
	if err != nil {
		return err
	}
	for name := range got {
		if _, ok := want[name]; !ok { // as from the folder's default access control list
			if err := unix.Lremovexattr(to, name); err != nil {
				return err
			}
		}
	}
	for name, value := range want {
		if has, ok := got[name]; ok && bytes.Equal(has, value) {
			continue
		}
		if err := unix.Lsetxattr(to, name, value, 0); err != nil {
			return err
		}
	}
	return nil
}

// mostAttributes is the kernel's limit on the names of a file's extended attributes, and on the
// value of one (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const mostAttributes = 64 << 10

// attributesOf returns the extended attributes of a file. It returns none on a file system without
// them.
func attributesOf(path string) (map[string][]byte, error) {
	buffer := make([]byte, mostAttributes)
	n, err := unix.Llistxattr(path, buffer)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(string(buffer[:n]), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, mostAttributes)
		n, err := unix.Lgetxattr(path, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = value[:n]
	}
	return all, nil
}

// inPlace writes the new text over the old one.
func (w rewrite) inPlace() error {
	f, err := os.OpenFile(w.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if more := int64(len(w.is)); more > int64(len(w.was)) { // so that a full disk changes nothing
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, more)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return err
		}
	}
	kept, d := keptPath(w.path), disk.Disk{}
	if err := errors.Join(d.WriteFile(kept, w.was), d.SyncFolder(filepath.Dir(kept))); err != nil {
		return errors.Join(err, d.Remove(kept))
	}
	if err := w.changed(); err != nil {
		return errors.Join(err, d.Remove(kept))
	}
	if err := overwrite(f, w.is); err != nil {
		if failed := overwrite(f, w.was); failed != nil {
			return fmt.Errorf("%w; a part of it is written, and all of its text is in %s", err, kept)
		}
		return errors.Join(err, d.Remove(kept))
	}
	return d.Remove(kept)
}

// overwrite makes the text that of the file, on disk.
func overwrite(f *os.File, text []byte) error {
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		return err
	}
	return f.Sync()
}

// checkKept returns an error if the text that was kept of a file is needed: the file was written in
// place and not to its end, as after a power cut. stale means that a text was kept and is not
// needed, because the file has all of the old text or of the new one.
func checkKept(path string, text []byte) (stale bool, err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	kept := keptPath(path)
	f, err := os.OpenFile(kept, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	was, err := io.ReadAll(io.LimitReader(f, spec.MaxGroupFile+1))
	if err != nil {
		return false, err
	}
	is, _ := spec.Format(path, was)
	if bytes.Equal(text, was) || bytes.Equal(text, is) {
		return true, nil
	}
	return false, fmt.Errorf("%s: an earlier format was cut off, and the text from before it is in %s", path, kept)
}

// removeKept removes the text that was kept of a file.
func removeKept(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return disk.Disk{}.Remove(keptPath(path))
}
