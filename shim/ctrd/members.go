package ctrd

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/containers"
)

const (
	// membersFor is how long a list of all containers counts. After that, another one is made. It
	// finds what no event has reported.
	membersFor = 5 * time.Minute
	// mostMembers is how many containers are asked for one by one. For more, a list costs less.
	mostMembers = 16
	// eventsWithin is how late an event of a container of ours may come.
	eventsWithin = time.Minute
	// fewMakes are remembered longer than that.
	fewMakes = 64
)

// A membership knows which containers each group has, so that those of a few groups are asked for
// by their ids. For a list of one group, containerd decodes the containers of all (List of its
// containerStore filters what it has read), so each observation would cost more with each group.
//
//	not known --all were listed, and events are reported--> known
//	    ^                                                     |
//	    '--no events, 5 minutes, a change by others-----------'
//
// While it is known, the containers that we make are added, and one that is gone is taken out when
// it is asked for. All else of a container is read each time. A container that others make or
// change may be one of any group.
type membership struct {
	mu     sync.Mutex
	since  time.Time                 // when the list began. Zero: not known
	groups map[string]map[string]int // by group and id, the number of the make that added it; 0: the list
	makes  map[string]aMake          // of the last minute, and those under way, by id
	last   int                       // the number of the last make
	// sweepAt is how many makes are looked through for old ones.
	sweepAt int
	// forgotten grows when it ceases to be known. A list that began before may be outdated.
	forgotten int
}

// An aMake is an attempt to make a container.
type aMake struct {
	number int
	ended  time.Time // zero: it is under way
}

// A member is a container of a group.
type member struct {
	group, id string
	number    int // of the make that added it; 0: the list
}

// begin returns what keep needs. Call it before a list of all containers.
func (m *membership) begin() (forgotten int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.forgotten
}

// keep takes what a list of all containers has, unless others may have changed it since begin.
func (m *membership) keep(byGroup map[string][]containers.Container, began time.Time, begun int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgotten != begun {
		return
	}
	m.since, m.groups = began, make(map[string]map[string]int, len(byGroup))
	for group, records := range byGroup {
		for _, r := range records {
			m.add(member{group: group, id: r.ID})
		}
	}
	for id, made := range m.makes { // the list may have begun before
		if made.ended.IsZero() || !made.ended.Before(began) {
			m.add(member{groupOf(id), id, made.number})
		}
	}
}

// of returns the containers of groups, in order.
func (m *membership) of(groups []string, now time.Time) (members []member, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() || now.Sub(m.since) >= membersFor {
		return nil, false
	}
	for _, group := range groups {
		for id, number := range m.groups[group] {
			members = append(members, member{group, id, number})
		}
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.id, b.id) })
	return members, true
}

// making notes that a container of ours is about to be made. done ends that, with or without
// success.
func (m *membership) making(id string, now func() time.Time) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.makes == nil {
		m.makes = map[string]aMake{}
	}
	if len(m.makes) >= max(m.sweepAt, fewMakes) {
		at := now()
		maps.DeleteFunc(m.makes, func(_ string, a aMake) bool { return !a.ended.IsZero() && at.Sub(a.ended) >= eventsWithin })
		m.sweepAt = 2 * len(m.makes)
	}
	m.note(id, time.Time{})
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.note(id, now())
	}
}

// note notes the begin or the end of a make. The caller holds mu.
func (m *membership) note(id string, ended time.Time) {
	m.last++
	m.makes[id] = aMake{m.last, ended}
	m.add(member{groupOf(id), id, m.last})
}

// add adds a container. The caller holds mu.
func (m *membership) add(x member) {
	if m.since.IsZero() {
		return
	}
	if m.groups[x.group] == nil {
		m.groups[x.group] = map[string]int{}
	}
	m.groups[x.group][x.id] = x.number
}

// drop takes out a container that was asked for and is gone, unless it was made since.
func (m *membership) drop(x member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if number, there := m.groups[x.group][x.id]; !there || number != x.number {
		return
	}
	delete(m.groups[x.group], x.id)
	if len(m.groups[x.group]) == 0 {
		delete(m.groups, x.group)
	}
}

// forget makes the members unknown.
func (m *membership) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten++
	m.since, m.groups = time.Time{}, nil
}

// see takes an event. One of a container that is none of ours makes the members unknown. One that
// we made is added once more: containerd may have made it after we gave up the call and have found
// none.
func (m *membership) see(event any) {
	id := ""
	switch e := event.(type) {
	case *eventtypes.ContainerCreate:
		id = e.ID
	case *eventtypes.ContainerUpdate:
		id = e.ID
	default:
		return
	}
	m.mu.Lock()
	made, ours := m.makes[id]
	_, known := m.groups[groupOf(id)][id]
	if ours && !known {
		m.add(member{groupOf(id), id, made.number})
	}
	m.mu.Unlock()
	if !ours && !known {
		m.forget()
	}
}
