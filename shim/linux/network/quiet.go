package network

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/spec"
)

// A link that was as wanted is not read again by each observation, as long as its changes are heard
// and none was. Its neighbours, and the rate and sysctls of its host's end are not heard: they are
// read every readLinkEvery at the latest. What the promise rests on is read each time: namespace,
// rules, ports, fence, cgroups, and the host's table.

// readLinkEvery is the longest time between two reads of a link. Half of it is the shortest, so
// that the links of all groups are not read at the same time.
const readLinkEvery = 5 * time.Minute

// quietFor is for how long the last look of a [Drift] counts. It looks each second.
const quietFor = 3 * readEvery

// quietGroups has since when nothing is heard of the groups. A Drift writes it, and observations
// read it.
type quietGroups struct {
	mu     sync.Mutex
	at     time.Time // of the last look
	groups map[string]quietGroup
}

type quietGroup struct {
	since time.Time
	link  string // see [groupDrift]
	index int
}

// noteQuiet notes which groups are quiet after a look.
func (d *Drift) noteQuiet() {
	q := &d.silent
	q.mu.Lock()
	defer q.mu.Unlock()
	q.at = time.Now()
	maps.DeleteFunc(q.groups, func(group string, _ quietGroup) bool { return d.groups[group] == nil })
	for group, g := range d.groups {
		was, ok := q.groups[group]
		switch {
		case !d.quiet(g) || g.last.err != "":
			delete(q.groups, group)
		case !ok || was.index != g.index:
			q.groups[group] = quietGroup{q.at, g.link, g.index}
		}
	}
}

// quietSince returns since when nothing of a group's link has changed, as far as it is heard. ok is
// false if something has, or may have, and until the group is settled again.
func (d *Drift) quietSince(group string) (since time.Time, ok bool) {
	q := &d.silent
	q.mu.Lock()
	g, ok := q.groups[group]
	ok = ok && time.Since(q.at) < quietFor
	q.mu.Unlock()
	return g.since, ok && !d.ears.concern(group, g)
}

// concern reports whether something was heard of a group's link since the last look.
func (e *ears) concern(group string, g quietGroup) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heard
	return h.host&(watch.Lost|watch.Mounts) != 0 || h.groups[group]&^notOfLinks != 0 || h.links[g.link] || h.indexes[g.index]
}

// Quiet reports whether nothing of a group's network has changed since a time, as far as it is
// heard. It is false if not all is heard that an observation may find within half a minute:
// reflected marks are not, and mounts are heard for the whole host alone.
func (d *Drift) Quiet(want *spec.Group, since time.Time) bool {
	if d.ears.watcher == nil || intercepts(want) {
		return false
	}
	quiet, ok := d.quietSince(want.Name)
	return ok && quiet.Before(since) && (len(want.Volumes) == 0 || !d.ears.mountedSince(since))
}

// mountedSince reports whether mounts of the host have changed since a time, or may have.
func (e *ears) mountedSince(since time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.mounted.Before(since)
}

// linkMemory remembers links that were as wanted.
type linkMemory struct {
	mu    sync.Mutex
	quiet func(group string) (since time.Time, ok bool) // nil: nothing is heard
	seen  map[string]seenLink                           // by group
}

// A seenLink is a link that was as wanted when it was last read.
type seenLink struct {
	netns.Link
	own   []netip.Addr // the addresses of its host's end
	ns    pin          // the namespace of its other end
	read  time.Time    // when the read began
	until time.Time    // when it is to be read again
}

// listen makes the memory count while quiet has nothing to report.
func (m *linkMemory) listen(quiet func(group string) (since time.Time, ok bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quiet = quiet
}

// recall returns the link of a group, if it is still as it was read.
func (m *linkMemory) recall(group string, ns pin) (l seenLink, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok = m.seen[group]; !ok || m.quiet == nil || l.ns != ns || !time.Now().Before(l.until) {
		return l, false
	}
	since, ok := m.quiet(group)
	return l, ok && since.Before(l.read)
}

// remember notes that a link is as wanted.
func (m *linkMemory) remember(group string, l seenLink) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quiet == nil {
		return
	}
	if m.seen == nil {
		m.seen = map[string]seenLink{}
	}
	l.until = l.read.Add(readLinkEvery - rand.N(readLinkEvery/2))
	m.seen[group] = l
}

// forget makes the next observation of a group read its link.
func (m *linkMemory) forget(group string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, group)
}

// hasLink reports whether both ends of a group's link are as wanted. A link that was read before
// counts if it is still known and the same is wanted.
func (n *Network) hasLink(group string, ns *os.File, want, known seenLink) (bool, error) {
	if reflect.DeepEqual(want.Link, known.Link) {
		return true, nil
	}
	n.quietLinks.forget(group)
	ok, err := netns.HasLink(ns, want.Link)
	if ok && err == nil {
		n.quietLinks.remember(group, want)
	}
	return ok, err
}

// pinOf returns the pin of an open namespace.
func pinOf(ns *os.File) (pin, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return pin{}, err
	}
	return pin{st.Dev, st.Ino}, nil
}
