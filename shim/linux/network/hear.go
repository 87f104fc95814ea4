package network

import (
	"context"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/spec"
)

const (
	// readEvery is the time between two looks at what the kernel does not tell, and at groups that
	// are not settled.
	readEvery = time.Second
	// hearEvery is the shortest time between two looks because of what was heard.
	hearEvery = readEvery / 2
	// turnEvery is after how many looks each group is read once without a cause. What is missed
	// anyway, an observation finds first: each group has one within five minutes.
	turnEvery = 3600
	// hostEvery is after how many looks the host is read without a cause.
	hostEvery = 30
)

// ears collect what was heard since the last look.
type ears struct {
	watcher *watch.Watcher // nil: nothing is heard
	soon    chan struct{}  // holds one
	warned  bool           // that a group is not heard

	mu      sync.Mutex
	heard   heard
	mounted time.Time // when mounts of the host last changed, or may have
}

// A heard has all that has changed since some time.
type heard struct {
	host    watch.Kind            // on the host, and Lost
	groups  map[string]watch.Kind // in a group's namespace, or among its files
	links   map[string]bool       // links of the host, by name
	indexes map[int]bool          // and by index
}

// Hear makes the Drift listen to w. With a nil w, everything is read each second. Call it before
// WatchDrift, which runs w. Close w after that has returned.
func (d *Drift) Hear(w *watch.Watcher) {
	if w == nil {
		return
	}
	d.ears.watcher, d.ears.soon = w, make(chan struct{}, 1)
	d.ears.take()
	d.silent.groups = map[string]quietGroup{}
	d.network.quietLinks.listen(d.quietSince)
	w.Listen(d.ears.add)
}

func (e *ears) add(events []watch.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	relevant := false
	for _, event := range events {
		relevant = relevant || event.Kind != watch.Object
		if event.Kind == watch.Mounts || event.Kind == watch.Lost {
			e.mounted = time.Now()
		}
		switch {
		case event.Name != "":
			e.heard.groups[event.Name] |= event.Kind
		case event.Kind == watch.Links:
			e.heard.links[event.Link], e.heard.indexes[event.Index] = true, true
		default:
			e.heard.host |= event.Kind
		}
	}
	if !relevant {
		return
	}
	select {
	case e.soon <- struct{}{}:
	default:
	}
}

// take returns what was heard since the last call.
func (e *ears) take() heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heard
	e.heard = heard{groups: map[string]watch.Kind{}, links: map[string]bool{}, indexes: map[int]bool{}}
	return h
}

// putBack leaves what was heard of the host to a later call of take.
func (e *ears) putBack(k watch.Kind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard.host |= k
}

// WatchDrift implements [keeper.Changes].
func (d *Drift) WatchDrift(ctx context.Context, groups func() []string, changed func(group string)) error {
	var hearing sync.WaitGroup
	if w := d.ears.watcher; w != nil {
		hearing.Go(func() { w.Run(ctx) })
	}
	defer hearing.Wait()
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	soon, rest := d.ears.soon, (<-chan time.Time)(nil)
	for turn := 0; ; {
		var found []string
		select {
		case <-ctx.Done():
			return nil
		case <-rest:
			soon, rest = d.ears.soon, nil
		case <-soon:
			found = d.lookAtHeard(groups())
			soon, rest = nil, time.After(hearEvery)
		case <-tick.C:
			turn++
			found = d.lookEachSecond(groups(), turn)
		}
		for _, group := range found {
			changed(group)
		}
	}
}

// lookAtHeard looks at what has changed by what was heard.
func (d *Drift) lookAtHeard(groups []string) []string {
	h := d.ears.take()
	later := watch.Lost // all is read then, as often as each second and no more often
	if d.hostRead {
		later |= ofHost // other programs change their own tables of the host all day
	}
	d.ears.putBack(h.host & later)
	h.host &^= later
	return h.withLimits(groups, d.look(groups, d.hostConcerned(h), func(group string, g *groupDrift) bool { return d.concerned(h, group, g) }))
}

// lookEachSecond looks at that, at what is not settled, at groups whose programs are others, and at
// what has its turn.
func (d *Drift) lookEachSecond(groups []string, turn int) []string {
	d.surveyGroups(groups)
	d.hostRead = false
	h := d.ears.take()
	return h.withLimits(groups, d.look(groups, d.hostConcerned(h) || !d.hostQuiet() || turn%hostEvery == 0, func(group string, g *groupDrift) bool {
		return d.concerned(h, group, g) || !d.quiet(g) || isTurn(group, turn) || d.otherPrograms(group, g)
	}))
}

// withLimits adds those of groups whose limits were written to. The network is not read for that.
func (h heard) withLimits(groups, changed []string) []string {
	for group, kinds := range h.groups {
		if kinds&watch.Written != 0 && slices.Contains(groups, group) && !slices.Contains(changed, group) {
			changed = append(slices.Clip(changed), group)
		}
	}
	return changed
}

// isTurn spreads the groups over turnEvery turns.
func isTurn(group string, turn int) bool {
	h := fnv.New32a()
	h.Write([]byte(group))
	return h.Sum32()%turnEvery == uint32(turn%turnEvery)
}

// quiet reports whether the group need not be read until something of it is heard.
func (d *Drift) quiet(g *groupDrift) bool {
	return d.ears.watcher != nil && g.heard && g.isSettled() && (g.last.err == "" || g.pin == pin{})
}

func (d *Drift) hostQuiet() bool {
	return d.ears.watcher != nil && d.host.isSettled() && d.host.last.err == ""
}

// notOfLinks are changes in a group that are not of its link.
const notOfLinks = watch.Rules | watch.Object | watch.Written

// ofHost are the changes after which the host's part of the network is read.
const ofHost = watch.Rules | watch.Forwarding | watch.Lost

func (d *Drift) hostConcerned(h heard) bool { return h.host&ofHost != 0 }

// concerned reports whether something of the group has changed. Rules are asked for, since our own
// changes of them are known.
func (d *Drift) concerned(h heard, group string, g *groupDrift) bool {
	g.told = g.told || d.hasChanged(h, group, g)
	return g.told
}

func (d *Drift) hasChanged(h heard, group string, g *groupDrift) bool {
	kinds := h.groups[group]
	switch {
	case h.host&watch.Lost != 0, kinds&^notOfLinks != 0, h.links[g.link], g.index != 0 && h.indexes[g.index]:
		return true
	case kinds&watch.Rules != 0 && !(d.quiet(g) && d.knowsRules(group)):
		return true
	}
	return h.host&watch.Mounts != 0 && d.pinned(group) != g.pin
}

// knowsRules reports whether the rules of the group's namespace are as we last read or made them.
func (d *Drift) knowsRules(group string) bool {
	ns, err := d.network.open(group)
	if err != nil {
		return false
	}
	defer ns.Close()
	seen, err := egress.Visit(ns, false)
	return err == nil && seen.Unchanged()
}

// otherPrograms reports whether the programs of the group's cgroups are not the settled ones, or
// its cgroups others. It asks the last survey. Only what that has not seen is read.
func (d *Drift) otherPrograms(group string, g *groupDrift) bool {
	if g.pin == (pin{}) {
		return false
	}
	if print, ok := d.surveyed(group); ok {
		return print != g.settled.fence
	}
	found, err := d.programs(group)
	return err != nil || found != g.settled.fence
}

// A pin identifies the namespace that is pinned at a path, as long as it lives. The zero pin stands
// for none.
type pin struct{ device, inode uint64 }

func (d *Drift) pinned(group string) (p pin) {
	var st unix.Stat_t
	if err := unix.Stat(d.network.layout.NetnsPath(group), &st); err != nil {
		return p
	}
	return pin{st.Dev, st.Ino}
}

// listen makes changes of a group heard, before it is read. It does nothing if nothing is heard at
// all. If it fails, the group is read each second.
func (d *Drift) listen(group string, g *groupDrift, ns *os.File) {
	w := d.ears.watcher
	if w == nil {
		return
	}
	heard, err := d.listenTo(w, group, g, ns)
	if err != nil {
		d.forget(group) // so that the next call begins anew
		if !d.ears.warned {
			d.ears.warned = true
			d.network.log.Warn("changes of groups are looked for each second", "group", group, "error", err)
		}
	}
	g.heard = heard && err == nil
}

func (d *Drift) listenTo(w *watch.Watcher, group string, g *groupDrift, ns *os.File) (heard bool, err error) {
	if g.pin, err = pinOf(ns); err != nil {
		return false, err
	}
	begun, err := w.Namespace(group, ns)
	if err != nil {
		return false, err
	}
	var reserved *os.File
	if begun {
		if reserved, err = netns.OpenReservedPorts(ns); err != nil {
			return false, err
		}
	}
	l, v2 := d.network.layout, d.network.cgroups.V2
	all := filepath.Join(v2, l.CgroupRoot, group) // in which the others are made
	missing, err := w.Paths(group, []string{
		all, filepath.Join(v2, l.CgroupParent(group, spec.Ambassador)), filepath.Join(v2, l.CgroupParent(group, spec.App)),
	}, reserved)
	return !slices.Contains(missing, all), err
}

// forget ends what listen began. Refusals of the group are not heard any more either.
func (d *Drift) forget(group string) {
	if d.ears.watcher != nil {
		d.ears.watcher.Forget(group)
		d.network.changed(group)
	}
}
