// Package watch reports what changes in the network namespaces of groups and on the host, by
// messages of the kernel. Four sockets, one inotify instance and one descriptor of the mount table
// serve all groups. At rest, nothing runs.
//
// Pitfall: an event is a hint to look, and no more. Events are merged, and [Lost] stands for all
// that did not fit into a buffer.
package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Kind is a kind of change. Several can be joined by |.
type Kind uint

const (
	Rules      Kind = 1 << iota // a batch has changed tables of the namespace
	Object                      // an object of a table was made, or a quota is used up
	Links                       // links or addresses; in a namespace of a group also routes
	Forwarding                  // the host forwards, or no longer, or other than before
	Files                       // a file or folder that is watched for the group
	Gone                        // the namespace does not exist any more
	Mounts                      // something was mounted or unmounted on the host
	Written                     // a file given to [Watcher.Written] was written to, or has gone
	Lost                        // events were lost: anything may have changed anywhere
)

// An Event reports that something may have changed. An empty Name stands for the host.
type Event struct {
	Kind          Kind
	Name          string // as given to [Watcher.Namespace], [Watcher.Paths] and [Watcher.Written]
	Link          string // of [Links] on the host: the name of the link. Empty: see Index
	Index         int    // of [Links] on the host: the index of the link
	Table, Object string // of [Object]
}

// A Watcher hears of changes. Its methods are safe for concurrent use, but for Listen, Run and
// Close.
type Watcher struct {
	hub       *hub
	sources   []source
	wake      int // an eventfd that ends the wait of Run
	mounts    int
	listeners []func([]Event)

	mu      sync.Mutex
	names   map[int32]string    // by number of the namespace
	numbers map[string]int32    // by name
	last    int32               // the number that was given last
	watches map[int]watch       // by inotify's descriptor
	paths   map[string]*watched // by name
	written map[string][]int    // by name: inotify's descriptors
	inotify int
}

// A source is a descriptor with a way to read what it has. read takes what is there, up to a bound,
// and reports whether something was lost.
type source struct {
	fd     int
	events int16
	read   func(fd int, add func(Event)) (lost bool)
}

// Open opens the sockets in the namespace of the calling thread, which counts as the host's. It
// fails where the kernel or a lack of capabilities don't allow them: CAP_SYS_ADMIN, CAP_NET_ADMIN
// and CAP_NET_BROADCAST are needed. Nothing is heard before Run, but nothing is missed either. The
// caller closes the Watcher.
func Open() (_ *Watcher, err error) {
	w := &Watcher{
		names: map[int32]string{}, numbers: map[string]int32{}, watches: map[int]watch{}, paths: map[string]*watched{},
		written: map[string][]int{},
		wake:    -1, inotify: -1,
	}
	defer func() {
		if err != nil {
			w.Close()
			err = fmt.Errorf("hear of changes: %w", err)
		}
	}()
	if w.hub, err = openHub(); err != nil {
		return nil, err
	}
	w.add(w.hub.route, unix.POLLIN, w.readRoute)
	w.add(w.hub.netfilter, unix.POLLIN, w.readNetfilter)
	fd, err := listen(unix.NETLINK_ROUTE, hostGroups, nil)
	if err != nil {
		return nil, err
	}
	w.add(fd, unix.POLLIN, w.readRoute)
	if fd, err = listen(unix.NETLINK_NETFILTER, netfilterGroups, netfilterFilter()); err != nil {
		return nil, err
	}
	w.add(fd, unix.POLLIN, w.readNetfilter)
	if w.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	w.add(w.inotify, unix.POLLIN, w.readFiles)
	// The kernel marks the file as ready after each change of the mounts (mounts_poll).
	if w.mounts, err = unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("watch mounts: %w", err)
	}
	w.add(w.mounts, unix.POLLPRI, readMounts)
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Watcher) add(fd int, events int16, read func(int, func(Event)) bool) {
	w.sources = append(w.sources, source{fd, events, read})
}

// Close closes everything. Call it after Run has returned. A nil Watcher has nothing to close.
func (w *Watcher) Close() {
	if w == nil {
		return
	}
	for _, s := range w.sources {
		unix.Close(s.fd)
	}
	if w.wake >= 0 {
		unix.Close(w.wake)
	}
	if w.hub != nil {
		w.hub.requests.Close()
	}
	for _, p := range w.paths {
		if p.file != nil {
			p.file.Close()
		}
	}
}

// Listen makes Run call heard with what was heard, never with nothing. heard must not block. Call
// it before Run.
func (w *Watcher) Listen(heard func([]Event)) { w.listeners = append(w.listeners, heard) }

// Namespace begins to watch a namespace under a name, and reports whether it did not before. What
// changes after it has returned is heard. A second call with the same namespace changes nothing.
// Another one takes the place of the first. The namespace is not kept alive.
func (w *Watcher) Namespace(name string, ns *os.File) (begun bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, err := w.hub.number(ns)
	if err != nil {
		return false, fmt.Errorf("watch namespace of %q: %w", name, err)
	}
	if number >= 0 && w.names[number] == name {
		return false, nil
	}
	w.forgetNumber(name)
	if number < 0 {
		number = w.last + 1
		if err := w.hub.setNumber(ns, number); err != nil {
			return false, fmt.Errorf("watch namespace of %q: %w", name, err)
		}
		w.last = number
	}
	delete(w.numbers, w.names[number]) // it had another name
	w.names[number], w.numbers[name] = name, number
	return true, nil
}

// Hears reports whether changes of a namespace are heard under a name, since a call of Namespace.
func (w *Watcher) Hears(name string, ns *os.File) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, err := w.hub.number(ns)
	return err == nil && number >= 0 && w.names[number] == name
}

// Forget ends what Namespace, Paths and Written began for a name.
func (w *Watcher) Forget(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetNumber(name)
	w.end(w.paths[name], nil)
	delete(w.paths, name)
	w.endAll(w.written[name])
	delete(w.written, name)
}

// forgetNumber leaves the number to the namespace, which keeps it until it goes. The caller holds
// mu.
func (w *Watcher) forgetNumber(name string) {
	if number, ok := w.numbers[name]; ok {
		delete(w.names, number)
		delete(w.numbers, name)
	}
}

// breath is the time between two reads. What comes meanwhile is read at once and merged. Mounts
// are those of the whole host, and other programs may change theirs all day, so after a change they
// are left alone for mountsRest.
const breath, mountsRest = 50 * time.Millisecond, time.Second

// Run reports what is heard until ctx ends. If the kernel can't be waited for, it reports [Lost]
// over and over.
func (w *Watcher) Run(ctx context.Context) {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken // it may write until then, and Close comes next
		}
	}()
	fds := []unix.PollFd{{Fd: int32(w.wake), Events: unix.POLLIN}}
	for _, s := range w.sources {
		fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: s.events})
	}
	pause := time.NewTimer(breath)
	defer pause.Stop()
	mounts := &fds[slices.IndexFunc(fds, func(p unix.PollFd) bool { return p.Fd == int32(w.mounts) })]
	var rested time.Time // when the mounts count again
	for ctx.Err() == nil {
		mounts.Fd = int32(w.mounts)
		wait := -1
		if rest := time.Until(rested); rest > 0 {
			mounts.Fd = -1 // poll(2) passes over it
			wait = int(rest/time.Millisecond) + 1
		}
		events := []Event{{Kind: Lost}}
		if _, err := unix.Poll(fds, wait); err == nil || errors.Is(err, unix.EINTR) {
			events = w.read(fds[1:])
		}
		if slices.Contains(events, Event{Kind: Mounts}) {
			rested = time.Now().Add(mountsRest)
		}
		if len(events) > 0 {
			for _, heard := range w.listeners {
				heard(events)
			}
		}
		pause.Reset(breath)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// read reads the sources that have something, and merges equal events.
func (w *Watcher) read(fds []unix.PollFd) (events []Event) {
	seen := map[Event]bool{}
	add := func(e Event) {
		if !seen[e] {
			seen[e] = true
			events = append(events, e)
		}
	}
	for i, s := range w.sources {
		ready := fds[i].Revents != 0
		fds[i].Revents = 0 // poll(2) leaves it alone when a signal ends it
		if ready && s.read(s.fd, add) {
			add(Event{Kind: Lost})
		}
	}
	return slices.Clip(events)
}

// readMounts has nothing to read: the wait itself has reset the mark.
func readMounts(_ int, add func(Event)) (lost bool) {
	add(Event{Kind: Mounts})
	return false
}
