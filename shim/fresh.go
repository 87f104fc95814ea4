package shim

import (
	"cmp"
	"slices"
)

// What is counted at a door only grows. A count that is lower than it was, or was gone in between, belongs to something that
// was made anew, and all of it is new.

// flow is a denial without its counts: what it is about.
func (d Denial) flow() Denial {
	d.Packets, d.Bytes = 0, 0
	return d
}

// fresh is what was counted between two looks, the most packets first. It is pure.
func fresh(before, now []Denial) []Denial {
	was := added(before)
	var out []Denial
	for flow, n := range added(now) {
		if old := was[flow]; n.Packets >= old.Packets && n.Bytes >= old.Bytes {
			n.Packets, n.Bytes = n.Packets-old.Packets, n.Bytes-old.Bytes
		}
		if n.Packets > 0 {
			out = append(out, n)
		}
	}
	sortDenials(out)
	slices.SortStableFunc(out, func(a, b Denial) int { return cmp.Compare(b.Packets, a.Packets) })
	return out
}

// added adds up what is about the same: a container that was made again has another cgroup, and its old one is still counted.
func added(denials []Denial) map[Denial]Denial {
	sums := make(map[Denial]Denial, len(denials))
	for _, d := range denials {
		sum := sums[d.flow()]
		d.Packets, d.Bytes = d.Packets+sum.Packets, d.Bytes+sum.Bytes
		sums[d.flow()] = d
	}
	return sums
}

func sortDenials(denials []Denial) {
	slices.SortFunc(denials, func(a, b Denial) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol),
			a.Destination.Compare(b.Destination), cmp.Compare(a.Packets, b.Packets), cmp.Compare(a.Bytes, b.Bytes))
	})
}

// deniedEvents makes an event of each of the first denials, and one for each container of all that are left.
func deniedEvents(group string, denials []Denial, most int) []Event {
	var events []Event
	for _, d := range denials[:min(most, len(denials))] {
		events = append(events, deniedEvent(group, d))
	}
	if len(denials) <= most {
		return events
	}
	rest := denials[most:]
	slices.SortStableFunc(rest, func(a, b Denial) int { return cmp.Compare(a.Container, b.Container) })
	for len(rest) > 0 {
		sum, others := Denial{Container: rest[0].Container}, 0
		for len(rest) > 0 && rest[0].Container == sum.Container {
			sum.Packets, sum.Bytes = sum.Packets+rest[0].Packets, sum.Bytes+rest[0].Bytes
			rest, others = rest[1:], others+1
		}
		events = append(events, othersEvent(group, sum, others))
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
