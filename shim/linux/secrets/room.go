package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

const (
	// pageSize is the least that a file of the file system takes, in bytes.
	pageSize = 4 << 10
	// spareRoom and spareFiles are for the lists of what is held and given.
	spareRoom, spareFiles = 16 * pageSize, 16
)

// errNoRoom is why a secret keeps its value although its source has another one.
var errNoRoom = fmt.Errorf("there is no room for another one: the secrets of a group and their copies have at most %s together, "+
	"with earlier values that programs keep open: restart the containers that have it", spec.FormatSize(mountSize))

// full returns an error with what to do if the file system is full.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return &hint.Error{
			Err:  fmt.Errorf("the secrets of a group and their copies in its containers have at most %s together: %w", spec.FormatSize(mountSize), unix.ENOSPC),
			Hint: "make them smaller, or give them to fewer containers; if they are small, restart its containers: a program may keep earlier values open",
		}
	}
	return err
}

// pages returns how much room a file takes.
func pages(size int) int64 { return int64(max(1, (size+pageSize-1)/pageSize)) * pageSize }

// roomFor returns how much room another value of a secret takes until the earlier one is gone. A
// copy of one container takes the place of an earlier one before the next is made.
func roomFor(want *spec.Group, name string, size int) int64 {
	copied := pages(size)
	for i := range want.Containers {
		files := int64(0)
		for _, f := range want.Containers[i].FilesWith([]string{name}) {
			files += pages(len(f.Content) + size)
		}
		copied = max(copied, files)
	}
	return pages(size) + copied + spareRoom
}

// hasRoom reports whether a group's file system has room for so many more bytes.
func hasRoom(dir string, bytes int64) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail)*st.Bsize >= bytes && st.Ffree >= spareFiles, nil
}

// inPlace writes a small list over its earlier one, for a file system that is full. Else what a
// program was told could not be noted, and it would be told again and again. One page is written by
// one call, which a kill does not cut. It returns why if the list has no room there.
func inPlace(path string, text []byte, why error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return why
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 || max(int64(len(text)), info.Size()) > pageSize {
		return why
	}
	text = append(text, bytes.Repeat([]byte(" "), max(0, int(info.Size())-len(text)))...)
	_, err = f.WriteAt(text, 0)
	return err
}
