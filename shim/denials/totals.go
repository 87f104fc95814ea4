package denials

import (
	"maps"
	"sync"

	"github.com/sallyport/sallyport/shim/host"
)

// totals count the denied packets of containers since the daemon started, by group and container.
// An empty container is one that could not be named.
type totals struct {
	mu      sync.Mutex
	groups  map[string]map[string]uint64
	inbound map[string]uint64 // by group: dropped on their way in
}

// add adds what a poll has newly counted: what no event has yet, and what is reported now, without
// what the poll before had left.
func (t *totals) add(group string, before, after []pendingDenial, reported []host.Denial) {
	grown := growth(before, after, reported)
	t.mu.Lock()
	defer t.mu.Unlock()
	for container, n := range grown {
		if n == 0 {
			continue
		}
		if t.groups == nil {
			t.groups = map[string]map[string]uint64{}
		}
		if t.groups[group] == nil {
			t.groups[group] = map[string]uint64{}
		}
		t.groups[group][container] += n
	}
}

// addInbound is [totals.add] for inbound denials.
func (t *totals) addInbound(group string, before, after []pendingDenial, reported []host.Denial) {
	grown := growth(before, after, reported)
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := grown[""]; n > 0 {
		if t.inbound == nil {
			t.inbound = map[string]uint64{}
		}
		t.inbound[group] += n
	}
}

// growth returns what a poll has newly counted, by container.
func growth(before, after []pendingDenial, reported []host.Denial) map[string]uint64 {
	if len(after) == 0 && len(reported) == 0 {
		return nil
	}
	grown := map[string]uint64{}
	for _, p := range after {
		grown[p.Container] += p.UnreportedPackets
	}
	for _, d := range reported {
		grown[d.Container] += d.Packets
	}
	for _, p := range before {
		grown[p.Container] -= min(grown[p.Container], p.UnreportedPackets)
	}
	return grown
}

func (t *totals) forget(group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.groups, group)
	delete(t.inbound, group)
}

// Denied returns how many packets were denied since the daemon started, by group and container. It
// includes what no event has yet. Packets whose container could not be named are under "".
func (p *Poller) Denied() map[string]map[string]uint64 {
	groups := p.config.Groups() // one that is gone may not have been forgotten yet
	t := &p.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]map[string]uint64, len(t.groups))
	for _, group := range groups {
		if of := t.groups[group]; of != nil {
			out[group] = maps.Clone(of)
		}
	}
	return out
}

// DeniedInbound returns how many packets were dropped on their way to each group since the daemon
// started. It includes what no event has yet.
func (p *Poller) DeniedInbound() map[string]uint64 {
	groups := p.config.Groups()
	t := &p.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]uint64, len(t.inbound))
	for _, group := range groups {
		if n := t.inbound[group]; n > 0 {
			out[group] = n
		}
	}
	return out
}

// of returns the sum of one group.
func (t *totals) of(group string) (packets uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.groups[group] {
		packets += n
	}
	return packets
}
