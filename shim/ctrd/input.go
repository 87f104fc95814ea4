package ctrd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A container's standard input is a fifo, which its shim copies into the pipe of the program
// (copyPipes in containerd's cmd/containerd-shim-runc-v2/process/io.go, 1.6 to 2.4). The shim keeps
// an end to write open as well. So the program reads the end only after CloseIO, and not when a
// daemon is killed.
//
// Beside the fifo there is a file with how many bytes it has taken, and whether a write is in
// progress. Each is written before and after every write. So the next daemon goes on at the right
// byte, or knows that it can't.

const (
	takenSuffix = ".taken"
	takenSize   = 16 // the count, and 1 while a write is in progress, eight bytes each
	// The shim opens the fifo on its own while it makes the task. This is how long it may take.
	inputOpens = 5 * time.Second
	inputAgain = 5 * time.Millisecond
)

// makeInput makes the fifo of a container, and returns its path. One that an earlier container has
// left is replaced, and its count goes on.
func (c *Client) makeInput(group, name string) (string, error) {
	path := c.cfg.Layout.InputPath(group, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return "", &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	return path, nil
}

// RemoveInput implements [keeper.Processes].
func (c *Client) RemoveInput(group, container string) error {
	path := c.cfg.Layout.InputPath(group, container)
	for _, p := range []string{path, path + takenSuffix} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// OpenInput implements [keeper.Processes].
func (c *Client) OpenInput(ctx context.Context, group, container string) (_ host.Input, err error) {
	path := c.cfg.Layout.InputPath(group, container)
	in := &inputWriter{client: c, id: spec.ID(group, container)}
	defer func() {
		if err != nil {
			_ = in.Close()
		}
	}()
	if in.count, err = os.OpenFile(path+takenSuffix, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	var state [takenSize]byte
	if n, _ := in.count.ReadAt(state[:], 0); n == takenSize {
		in.taken = binary.BigEndian.Uint64(state[:])
		if state[takenSize-1] != 0 {
			return nil, host.ErrInputUnknown
		}
	}
	if in.fifo, err = openFifo(ctx, path); err != nil {
		return nil, fmt.Errorf("open the standard input of %s: %w", in.id, err)
	}
	return in, nil
}

// openFifo opens a fifo to write. A nil file means that nothing reads it any more.
func openFifo(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, inputOpens)
	defer cancel()
	for {
		f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if !errors.Is(err, unix.ENXIO) { // fifo(7): no process has it open to read
			return f, err
		}
		if pause(ctx, inputAgain) != nil {
			return nil, nil
		}
	}
}

// An inputWriter writes to a container's standard input. It implements [host.Input].
type inputWriter struct {
	client *Client
	id     string
	fifo   *os.File // nil: nothing reads it
	count  *os.File
	taken  uint64
}

func (i *inputWriter) Taken() uint64 { return i.taken }

func (i *inputWriter) Write(p []byte) (n int, err error) {
	if i.fifo == nil {
		return len(p), i.drop(len(p))
	}
	conn, err := i.fifo.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = conn.Write(func(fd uintptr) bool {
		for n < len(p) {
			if failed = i.note(1); failed != nil {
				return true
			}
			m, err := unix.Write(int(fd), p[n:])
			n, i.taken = n+max(m, 0), i.taken+uint64(max(m, 0))
			if failed = i.note(0); failed != nil {
				return true
			}
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
			case err != nil:
				failed = err
				return true
			}
		}
		return true
	})
	if err = errors.Join(err, failed); errors.Is(err, unix.EPIPE) { // the program reads no more
		rest := len(p) - n
		return len(p), i.drop(rest)
	}
	return n, err
}

// drop counts bytes that no program reads as taken.
func (i *inputWriter) drop(n int) error {
	i.taken += uint64(n)
	return i.note(0)
}

// note writes down how much is taken, and whether a write is in progress.
func (i *inputWriter) note(writing byte) error {
	var state [takenSize]byte
	binary.BigEndian.PutUint64(state[:], i.taken)
	state[takenSize-1] = writing
	_, err := i.count.WriteAt(state[:], 0)
	return err
}

// End closes the ends to write of the fifo: the daemon's and the shim's.
func (i *inputWriter) End() error {
	if i.fifo != nil {
		_ = i.fifo.Close()
	}
	ctx, cancel := i.client.ctx(context.Background(), callTimeout)
	defer cancel()
	_, err := i.client.client.TaskService().CloseIO(ctx, &tasks.CloseIORequest{ContainerID: i.id, Stdin: true})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil // it has ended
	}
	return err
}

// Close implements [host.Input]. A second call does nothing.
func (i *inputWriter) Close() error {
	for _, f := range []*os.File{i.fifo, i.count} {
		if f != nil {
			_ = f.Close()
		}
	}
	return nil
}
