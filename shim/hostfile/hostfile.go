// Package hostfile reads files of the host that a group file, an operator or a state folder names.
// Whatever is at the path, a read ends: pipes and devices are refused without waiting for them,
// sizes are bounded, and a file system that does not answer is given up, at once when ctx ends. A
// link can't lead to a file that its folder does not hold.
package hostfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxEntries limits a folder that is listed.
const maxEntries = 100_000

// Read returns the content of a regular file of at most most bytes. The errors are [fs.PathError].
//
// The folder itself may be reached through links. Below it, a link is followed only to what its own
// folder holds. A name that is not below the folder is opened as [Open] does it. An empty folder
// means that no name is below it.
func Read(ctx context.Context, folder, name string, most int64) ([]byte, error) {
	return bounded(ctx, &system, filepath.Dir(name), "read", name, func() ([]byte, error) {
		f, size, err := open(folder, name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if size > most {
			return nil, tooLarge(size, most)
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(io.LimitReader(f, most+1)); err != nil {
			return nil, err
		}
		if size := int64(content.Len()); size > most { // it has grown
			return nil, tooLarge(size, most)
		}
		return content.Bytes(), nil
	}, nil)
}

func tooLarge(size, most int64) error {
	return fmt.Errorf("it has more than %s and may have at most %s: make it smaller", kib(size-1), kib(most))
}

func kib(n int64) string {
	if n < 1<<20 {
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n>>20, 10) + " MiB"
}

// A File is an open regular file. Its methods can be used by one goroutine at a time.
type File struct {
	ctx  context.Context // ends its reads
	file *os.File
	name string
	info fs.FileInfo
	own  []byte // what ReadAt reads into, since a read that was given up may still write there
	lost bool   // a read failed, and may not have returned
}

// Open opens a regular file. In the folder, it follows links as [Read] does. When ctx ends, the
// file can't be read any more.
//
// A name that is not below the folder is an absolute path. A link on it is followed if it leads to
// what its own folder holds. A link to the folder of the file is also followed where no container
// can have made it: in a folder that can't be a volume that containers write to.
func Open(ctx context.Context, folder, name string) (*File, error) {
	return bounded(ctx, &system, filepath.Dir(name), "open", name, func() (*File, error) {
		f, _, err := open(folder, name)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		return &File{ctx: ctx, file: f, name: name, info: info}, nil
	}, func(f *File) { f.Close() })
}

// Info describes the file as it was when it was opened.
func (f *File) Info() fs.FileInfo { return f.info }

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	own := f.own
	f.own = nil
	if cap(own) < len(p) {
		own = make([]byte, len(p))
	}
	own = own[:len(p)]
	type read struct {
		n   int
		end bool
	}
	r, err := bounded(f.ctx, &system, filepath.Dir(f.name), "read", f.name, func() (read, error) {
		n, err := f.file.ReadAt(own, off)
		if err == io.EOF {
			return read{n, true}, nil
		}
		return read{n, false}, err
	}, nil)
	if err != nil {
		f.lost = true
		return 0, err
	}
	copy(p, own[:r.n])
	f.own = own
	if r.end {
		return r.n, io.EOF
	}
	return r.n, nil
}

// Close closes the file. It does not wait for a read that was given up.
func (f *File) Close() error {
	if f.lost {
		go f.file.Close()
		return nil
	}
	return f.file.Close()
}

// ReadDir lists a folder. The folder may be reached through links.
func ReadDir(ctx context.Context, folder string) ([]fs.DirEntry, error) {
	return bounded(ctx, &system, filepath.Clean(folder), "list", folder, func() ([]fs.DirEntry, error) {
		f, err := os.OpenFile(folder, unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		entries, err := f.ReadDir(maxEntries)
		if err == io.EOF {
			err = nil
		}
		if len(entries) == maxEntries {
			return nil, fmt.Errorf("it has %d files or more: keep other files elsewhere", maxEntries)
		}
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		return entries, err
	}, nil)
}

// Stat describes what is at the path, through links.
func Stat(ctx context.Context, path string) (fs.FileInfo, error) {
	return bounded(ctx, &system, filepath.Dir(path), "stat", path, func() (fs.FileInfo, error) { return os.Stat(path) }, nil)
}
