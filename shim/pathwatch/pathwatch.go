// Package pathwatch waits for changes of what a path leads to, so that what must stay at a path
// need not be looked at by the clock.
//
// A watch is a hint and no proof: the kernel has no event for a file system that is mounted over a
// folder. So the caller looks by itself each time, and at least once in a while.
package pathwatch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// entries are the events of a folder in which the path's last element may change.
	entries = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | away | unix.IN_ONLYDIR
	// away are the events of a folder that is removed, or gets another path.
	away = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	// above are the events of a folder that has the next folder of the path in it. Where a socket
	// was bound, the kernel keeps the folder while the socket is open, and sends no IN_DELETE_SELF
	// for it. The folder above has the event.
	above = unix.IN_DELETE | away | unix.IN_ONLYDIR
	// settle is the pause after a change. A script that empties a folder is mostly done by then.
	settle = time.Second
	// retry is the pause before a folder that can't be watched is tried again.
	retry = time.Second
)

// A Watch waits for changes at one path. It is not safe for concurrent use.
type Watch struct {
	path   string
	events *os.File         // of inotify; nil: nothing is watched
	steps  map[int32]string // by the watch of a folder: the path up to its entry in that folder
}

// New returns a watch of an absolute path. It watches nothing before the first Wait.
func New(path string) *Watch { return &Watch{path: filepath.Clean(path)} }

// Close ends the watch.
func (w *Watch) Close() {
	if w.events != nil {
		_ = w.events.Close()
		w.events = nil
	}
}

// Wait waits until the path may lead to another file or to none, and a second more. It waits for
// longest at most, or until ctx ends. It returns at once when it has begun to watch anew: what
// happened before is no event. While the path's folder can't be watched, it waits for a second.
func (w *Watch) Wait(ctx context.Context, longest time.Duration) {
	if w.events == nil {
		if err := w.begin(); err == nil {
			return
		}
		pause(ctx, min(longest, retry))
		return
	}
	events, stopped := w.events, make(chan struct{})
	_ = events.SetReadDeadline(time.Now().Add(longest))
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = events.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() {
			<-stopped
		}
	}()
	buf := make([]byte, 4096)
	for changed := false; !changed; {
		n, err := events.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			w.Close()
			break
		}
		changed = w.concerns(buf[:n])
	}
	pause(ctx, min(longest, settle))
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// begin watches the path's folder, and the folders above it for the end of those on the path.
func (w *Watch) begin() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	w.events = os.NewFile(uintptr(fd), "inotify")
	w.steps = map[int32]string{}
	mask := uint32(entries)
	for step := w.path; filepath.Dir(step) != step; step = filepath.Dir(step) {
		watch, err := unix.InotifyAddWatch(fd, filepath.Dir(step), mask)
		if err != nil {
			w.Close()
			return fmt.Errorf("watch %s: %w", filepath.Dir(step), err)
		}
		w.steps[int32(watch)] = step
		mask = above
	}
	return nil
}

// concerns reports whether one of the events may be about the path. After the end of a folder it
// drops the watch, so that the next Wait begins anew.
func (w *Watch) concerns(events []byte) (changed bool) {
	for len(events) >= unix.SizeofInotifyEvent {
		watch, mask := int32(binary.NativeEndian.Uint32(events)), binary.NativeEndian.Uint32(events[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		name := strings.TrimRight(string(events[unix.SizeofInotifyEvent:end]), "\x00")
		events = events[end:]
		if mask&(away|unix.IN_IGNORED|unix.IN_UNMOUNT|unix.IN_Q_OVERFLOW) != 0 {
			w.Close()
			return true
		}
		step, ok := w.steps[watch]
		if !ok || name != filepath.Base(step) {
			continue
		}
		if changed = true; step != w.path {
			w.Close()
			return true
		}
	}
	return changed
}
