package bound

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// structure are the events of a folder's entries.
	structure = unix.IN_CREATE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_DELETE_SELF |
		unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	// growth is structure and the writing to files.
	growth = structure | unix.IN_MODIFY
)

// An event is one of inotify(7). name is that of the entry in the watched folder.
type event struct {
	watch int
	mask  uint32
	name  string
}

// inotify waits for events. It sleeps with the resolution of ppoll(2), which the runtime's poller
// does not have.
type inotify struct {
	fd   int
	stop int // an eventfd: readable once end was called
	buf  []byte
}

func newInotify() (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &inotify{fd: fd, stop: stop, buf: make([]byte, 64<<10)}, nil
}

// watch watches a folder. For one that is watched, it changes the events.
func (n *inotify) watch(path string, mask uint32) (int, error) {
	return unix.InotifyAddWatch(n.fd, path, mask)
}

// unwatch ends a watch. One that has ended is no error.
func (n *inotify) unwatch(watch int) {
	if watch >= 0 {
		_, _ = unix.InotifyRmWatch(n.fd, uint32(watch))
	}
}

// end ends the wait that there is, and every later one at once. Another goroutine may call it.
func (n *inotify) end() {
	_, _ = unix.Write(n.stop, binary.NativeEndian.AppendUint64(nil, 1))
}

func (n *inotify) close() error {
	return errors.Join(unix.Close(n.fd), unix.Close(n.stop))
}

// wait returns the next events, or none after a time. A negative time has no end.
func (n *inotify) wait(d time.Duration) ([]event, error) {
	var timeout *unix.Timespec
	if d >= 0 {
		t := unix.NsecToTimespec(int64(d))
		timeout = &t
	}
	fds := []unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLIN}, {Fd: int32(n.stop), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && err != unix.EINTR {
		return nil, os.NewSyscallError("ppoll", err)
	}
	size, err := unix.Read(n.fd, n.buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("read inotify", err)
	}
	return parse(n.buf[:size]), nil
}

// parse reads events as inotify(7) writes them.
func parse(b []byte) (events []event) {
	for len(b) >= unix.SizeofInotifyEvent {
		length := int(binary.NativeEndian.Uint32(b[12:]))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length], []byte{0})
		events = append(events, event{int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:]), string(name)})
		b = b[unix.SizeofInotifyEvent+length:]
	}
	return events
}
