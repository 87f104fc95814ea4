// Package disk writes files that outlive a power cut. A file is replaced as a whole: a reader finds
// the old content or the new one. A power cut can undo a write or a removal until SyncFolder has
// returned.
package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/hostfile"
)

// FileMode is the mode of all files. They may hold secrets, so only their owner can read them.
const FileMode = 0o600

// maxRead limits what ReadJSON reads, in bytes. The largest file has all of an apply, which is at
// most 64 MiB of JSON, and a group's definition beside it.
const maxRead = 256 << 20

// TempPrefix begins the names of the temporary files that WriteFile makes beside the file. Digits
// follow it.
const TempPrefix = ".sallyport-"

// WriteFile replaces the file with one that has this content.
func WriteFile(path string, data []byte) (err error) {
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
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	f.Close() // all of it is on disk
	return nil
}

// WriteJSON replaces the file with v as JSON.
func WriteJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return WriteFile(path, data)
}

// ReadJSON reads a file that WriteJSON has written. The error for a missing file is fs.ErrNotExist.
func ReadJSON[T any](path string) (v T, err error) {
	data, err := hostfile.Read(filepath.Dir(path), path, maxRead)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// Remove removes a file or an empty folder. It is no error if there is none.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncFolder writes to disk which files are in the folder. It is no error if there is no such
// folder.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
