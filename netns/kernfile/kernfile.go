// Package kernfile reads small files that are never waited for, with few system calls: sysctls,
// files of cgroups, namespaces. Package os prepares each file for waiting, which takes two to three
// times as many.
//
// Pitfall: a file counts as whole once a read returns less than it could. This is so for sysctls
// and for files of cgroups with a value. It need not be so for lists of processes.
package kernfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Open opens a file or folder for reading. It can't be waited for, so a pipe or a socket has no
// place here. The caller closes it.
func Open(path string) (*os.File, error) {
	fd, err := open(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// firstRead has the buffers of first reads, which nearly every file fits into. They are taken again
// and again, because a group's observation reads tens of files of a few bytes.
var firstRead = sync.Pool{New: func() any { return new([4096]byte) }}

// Read returns what a file has. It opens a file that is longer than expected once more, for a
// longer read: the kernel gives sysctls to the first read only, cut to its size.
func Read(path string) ([]byte, error) {
	first := firstRead.Get().(*[4096]byte)
	defer firstRead.Put(first)
	for buf := first[:]; ; buf = make([]byte, 16*len(buf)) {
		n, err := readOnce(path, buf)
		if err != nil {
			return nil, err
		}
		if n < len(buf) {
			return bytes.Clone(buf[:n]), nil
		}
	}
}

func readOnce(path string, buf []byte) (int, error) {
	fd, err := open(path)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		return n, nil
	}
}

// A Kept is a sysctl that stays open between reads: opening one goes through a list that has an
// entry for each network namespace. It has the namespace of the thread that reads it first.
type Kept struct {
	Path string // required

	mu   sync.Mutex
	file *os.File
}

// Read returns what the file has, as [Read] does. A sysctl that is gone is looked for again.
func (k *Kept) Read() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file != nil {
		var buf [64]byte
		if n, err := unix.Pread(int(k.file.Fd()), buf[:], 0); err == nil && n < len(buf) {
			return bytes.Clone(buf[:n]), nil
		}
		k.file.Close()
		k.file = nil
	}
	f, err := Open(k.Path)
	if err != nil {
		return nil, err
	}
	k.file = f
	return Read(k.Path)
}

func open(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
}
