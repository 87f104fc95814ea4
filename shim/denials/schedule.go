package denials

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// When a group is read:
//
//	                 Wake
//	at rest ------------------------> woken -- read --> read again after Interval
//	   ^                                                  |        ^
//	   |  the host reports, and nothing was new           |        | else
//	   +--------------------------------------------------+--------+
//
// A group is woken at the first refusal after a read. The second read finds what the kernel left
// out of the first one, since it moves a set that grows. A group at rest is read when a denial of
// it expires, so that a count that begins anew is not taken for the earlier one, when packets that
// no event has yet are to be reported, and once in [lookEvery], should a message be lost.

// lookEvery is the longest between two reads of a group at rest.
const lookEvery = 10 * time.Minute

// gather is the time from the first message to the read. Packets that belong together become one
// event.
const gather = 100 * time.Millisecond

// A schedule is when something is read next. Its times are monotonic: the clock may be set.
type schedule struct {
	next time.Time // zero: at once
	told bool      // the host has reported a change since the last read
}

func (s *schedule) due(now time.Time) bool { return s.told || !now.Before(s.next) }

func (s *schedule) readAgain(interval time.Duration) {
	s.next, s.told = time.Now().Add(interval), false
}

// readLater lets it rest for 0.5 to 1 times [lookEvery], or less if one of these times comes
// before. The name decides, so that the reads of many groups are spread. A time of 0 stands for
// none.
func (s *schedule) readLater(name string, interval time.Duration, times ...time.Duration) {
	wait := lookEvery - time.Duration(maphash.String(seed, name)%uint64(lookEvery/2))
	for _, t := range times {
		if t > 0 {
			wait = min(wait, t)
		}
	}
	s.next, s.told = time.Now().Add(max(wait, interval)), false
}

var seed = maphash.MakeSeed()

// owedIn returns the time until counted packets that no event has are to be reported. It is 0 if
// there are none.
func (s *snapshot) owedIn(at time.Time) (first time.Duration) {
	for _, pending := range [][]pendingDenial{s.Denials, s.Inbound} {
		for i := range pending {
			p := &pending[i]
			if p.UnreportedPackets == 0 {
				continue
			}
			if in := max(p.ReportedAt.Add(p.Wait).Sub(at), 1); first == 0 || in < first {
				first = in
			}
		}
	}
	return first
}

// woken holds what was told since the last poll.
type woken struct {
	mu     sync.Mutex
	groups map[string]bool
	host   bool
	all    bool
	signal chan struct{} // of one place: full if something was told
}

func newWoken() woken { return woken{groups: map[string]bool{}, signal: make(chan struct{}, 1)} }

func (w *woken) wake(tell func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// Wake lets the next poll read these groups. It comes at once, but not within [Config].Interval of
// the last one. Unknown groups are ignored. Wake is safe for concurrent use and does not block.
func (p *Poller) Wake(groups ...string) {
	p.woken.wake(func() {
		for _, group := range groups {
			p.woken.groups[group] = true
		}
	})
}

// WakeHost is [Poller.Wake] for the groups to which the host's rules have refused something.
func (p *Poller) WakeHost() { p.woken.wake(func() { p.woken.host = true }) }

// WakeAll is [Poller.Wake] for all groups, and the host's rules.
func (p *Poller) WakeAll() { p.woken.wake(func() { p.woken.all = true }) }

// due returns the groups that are to be read now.
func (p *Poller) due(groups []string) []string {
	p.woken.mu.Lock()
	told, all := p.woken.groups, p.woken.all
	p.host.told = p.host.told || p.woken.host || all
	p.woken.groups, p.woken.host, p.woken.all = map[string]bool{}, false, false
	select {
	case <-p.woken.signal:
	default:
	}
	p.woken.mu.Unlock()
	now := time.Now()
	var out, resting []string
	for _, group := range groups {
		s := p.snapshots[group]
		if s != nil {
			s.told = s.told || all || told[group]
		}
		if s == nil || s.due(now) {
			out = append(out, group)
		} else {
			resting = append(resting, group)
		}
	}
	return append(out, p.askHost(resting, now)...)
}

// askHost returns those of the groups at rest that are to be read because the host's rules may have
// refused something to them, if it is time to ask. The other groups are read anyway.
func (p *Poller) askHost(resting []string, now time.Time) (refused []string) {
	if len(resting) == 0 {
		p.host.next = now.Add(p.config.Interval)
		return nil
	}
	if !p.host.due(now) {
		return nil
	}
	refused, told, err := p.config.Door.RefusedByHost(resting)
	switch {
	case err != nil: // the reads of the groups fail likewise, and that is logged
		p.host.next = now.Add(p.config.Interval)
		return resting
	case !told || p.host.told || len(refused) > 0:
		p.host.readAgain(p.config.Interval)
	default:
		p.host.readLater("", p.config.Interval)
	}
	for _, group := range refused {
		p.snapshots[group].told = true
	}
	return refused
}

// rest waits until something is due, or told.
func (p *Poller) rest(ctx context.Context) {
	polled := time.Now()
	p.polling.Lock()
	next := p.host.next
	for _, s := range p.snapshots {
		if s.next.Before(next) {
			next = s.next
		}
	}
	p.polling.Unlock()
	// The interval comes first: a group without a snapshot is due at once.
	wait := time.NewTimer(max(time.Until(next), p.config.Interval))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return
	case <-wait.C:
		return
	case <-p.woken.signal:
	}
	wait.Reset(max(time.Until(polled.Add(p.config.Interval)), gather))
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}
