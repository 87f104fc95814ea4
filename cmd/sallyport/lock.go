package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
)

// A lock keeps a second process of its kind out of a folder. The kernel releases it when the
// process ends, for any reason. The file stays, and the process id in it is for people only: on a
// full disk it may be missing.
type lock struct{ file *os.File }

// A heldError is the error for a lock that another process holds.
type heldError struct{ pid string }

func (e *heldError) Error() string { return "process " + e.pid + " holds the lock" }

// takeDaemonLock takes the daemon's lock of an existing folder. The error names the daemon that
// holds it.
func takeDaemonLock(dir string) (*lock, error) {
	l, err := takeLock(filepath.Join(dir, "daemon.lock"))
	if held, ok := errors.AsType[*heldError](err); ok {
		return nil, unmet("end that one first, or give this one a --root of its own",
			"another daemon, process %s, keeps the groups of %s", held.pid, dir)
	}
	return l, err
}

// takeContainerdLock takes the lock of the one who runs the private containerd.
func takeContainerdLock(stateDir string) (*lock, error) {
	return takeLock(filepath.Join(stateDir, "containerd.lock"))
}

// takeLock takes the lock of a file. The error is a *heldError if another process holds it.
func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		return nil, &heldError{strings.TrimSpace(string(pid))}
	}
	if err == nil {
		err = writeWhole(f, fmt.Sprintf("%d\n", os.Getpid()))
	}
	if err != nil && !disk.Unwritable(err) {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &lock{f}, nil
}

// writeWhole replaces the content of a small file in its place. Freed first, its space could be
// gone on a full disk.
func writeWhole(f *os.File, text string) error {
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(text)))
}

func (l *lock) release() { l.file.Close() }
