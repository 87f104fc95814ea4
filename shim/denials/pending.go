package denials

import (
	"cmp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
)

// A tally is what is known of one destination that one container was refused. What is counted there only grows: a count that is
// lower than it was belongs to something that was made anew, and all of it is new.
type tally struct {
	host.Denial        // as it was counted last
	OwedPackets uint64 `json:"owed_packets,omitempty"` // counted, and not told of yet
	OwedBytes   uint64 `json:"owed_bytes,omitempty"`
	journal.Throttle
}

// fresh adds what is counted now to the tallies, which it keeps sorted, and returns what is to be told. dropped says that a
// tally ends or begins anew. It is pure, but for the order of now.
func fresh(before []tally, now []host.Denial, at time.Time) (after []tally, told []host.Denial, dropped bool) {
	now = renamed(before, merged(now))
	if slices.EqualFunc(before, now, func(t tally, d host.Denial) bool { return t.Denial == d && t.OwedPackets == 0 }) {
		return before, nil, false
	}
	after = make([]tally, 0, len(now))
	for len(before) > 0 || len(now) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(now) == 0:
			order = -1
		default:
			order = compareFlows(before[0].Denial, now[0])
		}
		if order < 0 { // it is gone, and what is owed of it is told now or never
			dropped = true
			if t := before[0]; t.OwedPackets > 0 {
				told = append(told, t.tell(at))
			}
			before = before[1:]
			continue
		}
		t := tally{Denial: now[0].Flow()}
		if order == 0 {
			t, before = before[0], before[1:]
		}
		dropped = t.add(now[0]) || dropped
		if t.OwedPackets > 0 && t.Due(at) {
			told = append(told, t.tell(at))
		}
		after, now = append(after, t), now[1:]
	}
	slices.SortStableFunc(told, func(a, b host.Denial) int { return cmp.Compare(b.Packets, a.Packets) })
	return after, told, dropped
}

// add takes up a new count.
func (t *tally) add(now host.Denial) (anew bool) {
	if anew = now.Packets < t.Packets || now.Bytes < t.Bytes; anew {
		t.Packets, t.Bytes = 0, 0
	}
	t.OwedPackets += now.Packets - t.Packets
	t.OwedBytes += now.Bytes - t.Bytes
	t.Denial = now
	return anew
}

// tell returns what is owed, and owes nothing any more.
func (t *tally) tell(at time.Time) host.Denial {
	d := t.Flow()
	d.Packets, d.Bytes = t.OwedPackets, t.OwedBytes
	t.OwedPackets, t.OwedBytes = 0, 0
	t.Reported(at)
	return d
}

func compareFlows(a, b host.Denial) int {
	return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
}

// merged sorts denials and adds up those that are about the same: a container that was made again has another cgroup, and its
// old one is still counted.
func merged(denials []host.Denial) []host.Denial {
	slices.SortFunc(denials, compareFlows)
	n := 0
	for i, d := range denials {
		if i > 0 && compareFlows(denials[n-1], d) == 0 {
			denials[n-1].Packets += d.Packets
			denials[n-1].Bytes += d.Bytes
			continue
		}
		denials[n] = d
		n++
	}
	return denials[:n]
}

// renamed gives nameless denials the names they had: a daemon that is started anew knows only those of containers that are
// there. What is short of a container's count to a destination is then counted there without a name.
func renamed(before []tally, now []host.Denial) []host.Denial {
	var names map[int]string // none, as a rule
	for i, d := range now {
		if d.Container != "" {
			break // the nameless come first
		}
		if name := nameOf(before, now, d); name != "" {
			if names == nil {
				names = map[int]string{}
			}
			names[i] = name
		}
	}
	if len(names) == 0 {
		return now
	}
	for i, name := range names {
		now[i].Container = name
	}
	return merged(now)
}

func nameOf(before []tally, now []host.Denial, d host.Denial) string {
	for _, t := range before {
		if t.Protocol != d.Protocol || t.Destination != d.Destination {
			continue
		}
		if n := packetsOf(now, t.Flow()); t.Container == "" || n < t.Packets && n+d.Packets >= t.Packets {
			return t.Container // one that had none before stays without
		}
	}
	return ""
}

func packetsOf(denials []host.Denial, flow host.Denial) uint64 {
	i, ok := slices.BinarySearchFunc(denials, flow, compareFlows)
	if !ok {
		return 0
	}
	return denials[i].Packets
}

// deniedEvents makes an event of each of the first denials, and one for each container of all that are left.
func deniedEvents(name string, denials []host.Denial, most int) []group.Event {
	var events []group.Event
	for _, d := range denials[:min(most, len(denials))] {
		events = append(events, deniedEvent(name, d))
	}
	if len(denials) <= most {
		return events
	}
	rest := denials[most:]
	slices.SortStableFunc(rest, func(a, b host.Denial) int { return cmp.Compare(a.Container, b.Container) })
	for len(rest) > 0 {
		sum, others := host.Denial{Container: rest[0].Container}, 0
		for len(rest) > 0 && rest[0].Container == sum.Container {
			sum.Packets, sum.Bytes = sum.Packets+rest[0].Packets, sum.Bytes+rest[0].Bytes
			rest, others = rest[1:], others+1
		}
		events = append(events, othersEvent(name, sum, others))
	}
	return events
}

// The levels of a quota that are told of, in percent.
const (
	quotaNearly = 80
	quotaSpent  = 100
)

// quotaLevel is the highest level that has been reached; 0 below all, and where there is no quota.
func quotaLevel(used, quota uint64) int {
	switch {
	case quota == 0:
		return 0
	case used >= quota:
		return quotaSpent
	case used >= quota/100*quotaNearly:
		return quotaNearly
	default:
		return 0
	}
}
