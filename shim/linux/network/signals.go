package network

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

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
	watcher Watcher
	woken   Woken

	mu   sync.Mutex
	seen map[string][]uplink.Refusal // by link, sorted: what the host had refused at the last call of RefusedByHost
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
	now, armed, err := n.refused()
	if err != nil {
		return nil, false, err
	}
	for _, list := range now {
		for i := range list {
			list[i].Expires = 0 // it changes all the time
		}
		slices.SortFunc(list, func(a, b uplink.Refusal) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
		})
	}
	n.signals.mu.Lock()
	defer n.signals.mu.Unlock()
	for _, group := range groups {
		if link := n.linkName(group); !slices.Equal(now[link], n.signals.seen[link]) {
			changed = append(changed, group)
		}
	}
	n.signals.seen = now
	return changed, armed && n.signals.watcher != nil, nil
}
