package denials

import (
	"cmp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
)

// A pendingDenial is the count of packets from one container to one destination, with the part of
// it that no event has yet. A count only grows. If it is lower than before, its counter was created
// again, and all of the count is new.
type pendingDenial struct {
	host.Denial              // the last count
	UnreportedPackets uint64 `json:"owed_packets,omitempty"` // counted, but in no event yet
	UnreportedBytes   uint64 `json:"owed_bytes,omitempty"`
	journal.Throttle
}

// updatePending takes a new count, and returns what to report now. It keeps the pending denials
// sorted, and it sorts and merges now in place. dropped reports whether one of them has ended or
// begun again. partial means that a part could not be read: then none has.
func updatePending(before []pendingDenial, now []host.Denial, partial bool, at time.Time) (after []pendingDenial, report []host.Denial, dropped bool) {
	now = restoreNames(before, mergeFlows(now))
	if partial {
		now = keepCounts(before, now)
	}
	if slices.EqualFunc(before, now, func(p pendingDenial, d host.Denial) bool { return p.Denial == d && p.UnreportedPackets == 0 }) {
		return before, nil, false
	}
	after = make([]pendingDenial, 0, len(now))
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
		if order < 0 { // its counter is gone, so the rest is reported now
			dropped = true
			if p := before[0]; p.UnreportedPackets > 0 {
				report = append(report, p.report(at))
			}
			before = before[1:]
			continue
		}
		p := pendingDenial{Denial: now[0].Flow()}
		if order == 0 {
			p, before = before[0], before[1:]
		}
		dropped = p.count(now[0]) || dropped
		if p.UnreportedPackets > 0 && p.Due(at) {
			report = append(report, p.report(at))
		}
		after, now = append(after, p), now[1:]
	}
	slices.SortStableFunc(report, func(a, b host.Denial) int { return cmp.Compare(b.Packets, a.Packets) })
	return after, report, dropped
}

// keepCounts returns the counts with those that were higher before, or are not there any more. They
// are of what could not be read.
func keepCounts(before []pendingDenial, now []host.Denial) []host.Denial {
	for _, p := range before {
		i, ok := slices.BinarySearchFunc(now, p.Denial, compareFlows)
		switch {
		case !ok:
			now = slices.Insert(now, i, p.Denial)
		case now[i].Packets < p.Packets || now[i].Bytes < p.Bytes:
			now[i] = p.Denial
		}
	}
	return now
}

// count takes a new count. It reports whether the counter was created again.
func (p *pendingDenial) count(now host.Denial) (again bool) {
	if again = now.Packets < p.Packets || now.Bytes < p.Bytes; again {
		p.Packets, p.Bytes = 0, 0
	}
	p.UnreportedPackets += now.Packets - p.Packets
	p.UnreportedBytes += now.Bytes - p.Bytes
	p.Denial = now
	return again
}

// report returns the unreported part, and records it as reported.
func (p *pendingDenial) report(at time.Time) host.Denial {
	d := p.Flow()
	d.Packets, d.Bytes = p.UnreportedPackets, p.UnreportedBytes
	p.UnreportedPackets, p.UnreportedBytes = 0, 0
	p.Reported(at)
	return d
}

func compareFlows(a, b host.Denial) int {
	return cmp.Or(cmp.Compare(a.Container, b.Container), a.Source.Compare(b.Source), cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
}

// mergeFlows sorts denials and adds up those of one flow. A container that was created again has a
// new cgroup, while its old one is still counted.
func mergeFlows(denials []host.Denial) []host.Denial {
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

// restoreNames gives denials without a container the names that they had before. A restarted daemon
// knows only the cgroups of containers that exist. Packets counted before the restart and not
// attributed now are matched by destination and count.
func restoreNames(before []pendingDenial, now []host.Denial) []host.Denial {
	var names map[int]string // nil in most cases
	for i, d := range now {
		if d.Container != "" || d.Source.IsValid() {
			break // those without a container come first; inbound ones have none
		}
		if name := earlierName(before, now, d); name != "" {
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
	return mergeFlows(now)
}

// earlierName returns the container that the packets of d were attributed to before. It is empty if
// there is none.
func earlierName(before []pendingDenial, now []host.Denial, d host.Denial) string {
	for _, p := range before {
		if p.Protocol != d.Protocol || p.Destination != d.Destination {
			continue
		}
		if n := packetsOf(now, p.Flow()); p.Container == "" || n < p.Packets && n+d.Packets >= p.Packets {
			return p.Container // empty if it had none before
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

// deniedEvents returns an event for each of the first denials, and one for the rest of each
// container.
func deniedEvents(name string, denials []host.Denial, maxEvents int) []group.Event {
	var events []group.Event
	for _, d := range denials[:min(maxEvents, len(denials))] {
		events = append(events, deniedEvent(name, d))
	}
	if len(denials) <= maxEvents {
		return events
	}
	rest := denials[maxEvents:]
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

// inboundEvents returns an event for each of the first denials that have a source, and one for the
// rest.
func inboundEvents(name string, denials []host.Denial, maxEvents int) (events []group.Event) {
	var rest host.Denial
	for _, d := range denials {
		if d.Source.IsValid() && len(events) < maxEvents {
			events = append(events, inboundEvent(name, d))
			continue
		}
		rest.Packets, rest.Bytes = rest.Packets+d.Packets, rest.Bytes+d.Bytes
	}
	if rest.Packets > 0 {
		events = append(events, otherSourcesEvent(name, rest))
	}
	return events
}

// The levels of a quota that get an event, in percent.
const (
	quotaNearly = 80
	quotaSpent  = 100
)

// quotaLevel returns the highest level that is reached. It is 0 if none is, or without a quota.
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
