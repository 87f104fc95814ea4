package network

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/netns/watch"
)

// A Watcher hears the kernel's messages about namespaces, as [watch.Watcher] does. [Drift] begins
// to hear a namespace.
type Watcher interface {
	Hears(group string, ns *os.File) bool
	Listen(heard func([]watch.Event))
}

// A Woken is called when the counts at doors change, such as a [denials.Poller].
type Woken interface {
	Wake(groups ...string) // of these groups
	WakeHost()             // what the host's rules have refused, to any group
	WakeAll()              // any of these
}

// signals connect who hears the kernel with who reads denials. Without a Watcher nothing is told,
// and each group has to be read again and again.
type signals struct {
	watcher  Watcher
	woken    Woken
	armEvery time.Duration // [armEvery]

	mu   sync.Mutex
	seen map[string][]seenRefusal // by link, sorted: what the host had refused at the last call of RefusedByHost
	sent map[string]time.Time     // by group: when its signal was armed again after a message. "" is the host
}

// armEvery is the least between two messages of one signal. So a group that is refused things
// without end costs one message and one reset in this time. The kernel may write a record of either
// to the audit log. Until then the group is read each second.
const armEvery = 10 * time.Second

// again reports whether the signal of a group may be armed again.
func (s *signals) again(group string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.sent[group]
	return !ok || time.Since(last) >= s.armEvery
}

// armed takes what became of the signal of a group, and reports whether the kernel sends it.
func (s *signals) armed(group string, state ruleset.SignalState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == ruleset.ArmedAgain {
		if s.sent == nil {
			s.sent = map[string]time.Time{}
		}
		s.sent[group] = time.Now()
	}
	return state.Reports()
}

func (s *signals) forget(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sent, group)
}

// A refusedByHost has what the host's rules have refused, and whether they report the next refusal.
type refusedByHost struct {
	byLink map[string][]uplink.Refusal
	signal ruleset.SignalState
}

// A seenRefusal is a refusal without the time that is left of it.
type seenRefusal struct {
	uplink.Refusal
	until time.Time // when the kernel forgets it
}

// isOf reports whether r was seen before. One with the same counts may be another: the
// kernel has forgotten the first, or the table was made anew. Then it is forgotten later.
func (r seenRefusal) isOf(before seenRefusal) bool {
	return r.Refusal == before.Refusal && r.until.Sub(before.until) < time.Second
}

// TellDenials makes n wake w when the counts of a group change. Call it before the watcher runs and
// before the first call of [Network.Counts].
func (n *Network) TellDenials(watcher Watcher, w Woken) {
	n.signals.watcher, n.signals.woken = watcher, w
	watcher.Listen(n.heard)
}

// heard wakes the reader of what is concerned by events.
func (n *Network) heard(events []watch.Event) {
	w := n.signals.woken
	for _, e := range events {
		switch {
		case e.Kind&watch.Lost != 0:
			w.WakeAll()
		case e.Name != "" && e.Kind&(watch.Rules|watch.Object|watch.Gone) != 0:
			w.Wake(e.Name)
		case e.Name == "" && e.Kind&watch.Object != 0 && e.Table == n.layout.Table && e.Object == uplink.RefusedSignal:
			w.WakeHost()
		}
	}
}

// changed wakes who reads the denials of a group after we have changed its network. What happens in
// a new namespace is not heard at first.
func (n *Network) changed(group string) {
	if w := n.signals.woken; w != nil {
		w.Wake(group)
	}
}

// hears reports whether messages about the namespace of a group are heard. Until they are, the
// group has to be read again and again.
func (s *signals) hears(group string, ns *os.File) bool {
	return s.watcher != nil && s.watcher.Hears(group, ns)
}

// told reports whether a group whose counts can't be read for this reason is told when they can.
func (s *signals) told(err error) bool { return s.watcher != nil && errors.Is(err, fs.ErrNotExist) }

// RefusedByHost implements [denials.Door].
func (n *Network) RefusedByHost(groups []string) (changed []string, told bool, err error) {
	now, err := n.arm(n.signals.again(""))
	if err != nil {
		return nil, false, err
	}
	armed := n.signals.armed("", now.signal)
	at := time.Now()
	found := make(map[string][]seenRefusal, len(now.byLink))
	for link, list := range now.byLink {
		for _, r := range list {
			until := at.Add(r.Expires)
			r.Expires = 0
			found[link] = append(found[link], seenRefusal{r, until})
		}
		slices.SortFunc(found[link], func(a, b seenRefusal) int {
			return cmp.Or(a.Source.Compare(b.Source), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
		})
	}
	n.signals.mu.Lock()
	defer n.signals.mu.Unlock()
	for _, group := range groups {
		if link := n.linkName(group); !slices.EqualFunc(found[link], n.signals.seen[link], seenRefusal.isOf) {
			changed = append(changed, group)
		}
	}
	n.signals.seen = found
	return changed, armed && n.signals.watcher != nil, nil
}
