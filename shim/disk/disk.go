// Package disk writes files that outlive a power cut. A file is replaced as a whole: a reader finds
// the old content or the new one. A power cut can undo a write or a removal until SyncFolder has
// returned.
package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hostfile"
)

// FileMode is the mode of all files. They may hold secrets, so only their owner can read them.
const FileMode = 0o600

// MaxRead limits what ReadJSON reads, in bytes. The largest file has all of an apply, which is at
// most 64 MiB of JSON, and a group's definition beside it.
const MaxRead = 256 << 20

// TempPrefix begins the names of the temporary files that WriteFile makes beside the file. Digits
// follow it.
const TempPrefix = ".sallyport-"

// ErrDamaged is the error for a file that has no JSON of its kind, or that is no plain file. It is
// there to be read, and no second attempt reads it.
var ErrDamaged = errors.New("damaged")

// An Op is one request to the kernel that changes the disk.
type Op string

// The operations, in the order in which a file is written and removed.
const (
	OpCreate     Op = "create" // a temporary file
	OpWrite      Op = "write"
	OpSync       Op = "sync"
	OpRename     Op = "rename"
	OpRemove     Op = "remove"
	OpSyncFolder Op = "sync folder"
)

// A Disk writes files. The zero value is ready to use.
type Disk struct {
	// Before is called before each operation, with the path of the file or folder. If it returns an
	// error, the operation fails with that and is not done. Optional.
	Before func(op Op, path string) error
}

func (d Disk) before(op Op, path string) error {
	if d.Before == nil {
		return nil
	}
	return d.Before(op, path)
}

// WriteFile replaces the file with one that has this content.
func (d Disk) WriteFile(path string, data []byte) error { return d.write(path, data, true) }

// WriteUnsynced replaces the file without waiting for the disk. A power cut in the next seconds may
// leave an empty file, so it is for what can be made again.
func (d Disk) WriteUnsynced(path string, data []byte) error { return d.write(path, data, false) }

func (d Disk) write(path string, data []byte, sync bool) (err error) {
	if err := d.before(OpCreate, path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), TempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if err := f.Chmod(FileMode); err != nil {
		return err
	}
	if err := d.before(OpWrite, path); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if sync {
		if err := d.before(OpSync, path); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := d.before(OpRename, path); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	f.Close() // all of it is on disk, or in the kernel
	return nil
}

// Remove removes a file or an empty folder. It is no error if there is none.
func (d Disk) Remove(path string) error {
	if err := d.before(OpRemove, path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncFolder writes to disk which files are in the folder. It is no error if there is no such
// folder.
func (d Disk) SyncFolder(path string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.before(OpSyncFolder, path); err != nil {
		return errors.Join(err, folder.Close())
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// SetAside gives a damaged file, or a folder in its place, another name beside it, and returns
// that.
func (d Disk) SetAside(path string) (aside string, err error) {
	aside = path + AsideSuffix
	for n := 2; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s%s%d", path, AsideSuffix, n)
	}
	if err := d.before(OpRename, aside); err != nil {
		return "", err
	}
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	return aside, d.SyncFolder(filepath.Dir(path))
}

// AsideSuffix ends the name of what SetAside has renamed. A number may follow it.
const AsideSuffix = ".damaged"

// WriteFile replaces the file with one that has this content.
func WriteFile(path string, data []byte) error { return Disk{}.WriteFile(path, data) }

// WriteJSON replaces the file with v as JSON.
func WriteJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return WriteFile(path, data)
}

// ReadJSON reads a file that WriteJSON has written. The error for a missing file is fs.ErrNotExist,
// and for one that is no JSON of this type [ErrDamaged].
func ReadJSON[T any](path string) (v T, err error) {
	data, err := hostfile.Read(context.Background(), filepath.Dir(path), path, MaxRead)
	if err != nil {
		if info, statErr := os.Lstat(path); statErr == nil && !info.Mode().IsRegular() {
			err = damaged{err}
		}
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		var none T
		return none, damaged{fmt.Errorf("%s: %w", path, err)}
	}
	return v, nil
}

// A damaged is an error that is ErrDamaged, in its own words.
type damaged struct{ error }

// Is reports whether target is [ErrDamaged].
func (damaged) Is(target error) bool { return target == ErrDamaged }

// Unwrap returns the error itself.
func (d damaged) Unwrap() error { return d.error }

// Damaged returns an error that is [ErrDamaged], for content that can't be.
func Damaged(path, why string) error { return damaged{fmt.Errorf("%s: %s", path, why)} }

// Unwritable reports whether a write failed because of the disk, and not because of the file: it is
// full, over its quota, read-only, or broken.
func Unwritable(err error) bool {
	return slices.ContainsFunc([]error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO}, func(e error) bool { return errors.Is(err, e) })
}

// Remove removes a file or an empty folder. It is no error if there is none.
func Remove(path string) error { return Disk{}.Remove(path) }
