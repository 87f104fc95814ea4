package ctrd

import (
	"maps"
	"sync"
)

// A shimPIDs remembers the process of each group's shim. Without it, each container that is made
// costs a look at all processes of the host, and at all descriptors of a shim of the whole host.
type shimPIDs struct {
	mu      sync.Mutex
	byGroup map[string]shimPID // by group of containers that share a shim
	sweepAt int                // so many make note look for those that have ended
}

// A shimPID is a process. Its number may be another's after its end.
type shimPID struct {
	pid     int
	started string // in ticks since boot; see [readStat]
}

func (p shimPID) lives() bool {
	s := readStat(p.pid)
	return !s.ended() && s.started == p.started
}

// fewShims are remembered even if they have ended.
const fewShims = 64

// of returns the process of a group's shim: the one that is remembered, as long as it lives, or the
// one that find returns. 0 means that there is none.
func (s *shimPIDs) of(shimGroup string, find func() int) int {
	s.mu.Lock()
	p, ok := s.byGroup[shimGroup]
	s.mu.Unlock()
	if ok && p.lives() {
		return p.pid
	}
	pid := find()
	s.note(shimGroup, pid)
	return pid
}

// note remembers the process of a group's shim. It replaces an earlier one. 0 means that there is
// none.
func (s *shimPIDs) note(shimGroup string, pid int) {
	p := shimPID{pid: pid}
	if pid != 0 {
		p.started = readStat(pid).started
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.started == "" {
		delete(s.byGroup, shimGroup)
		return
	}
	if s.byGroup == nil {
		s.byGroup = map[string]shimPID{}
	}
	s.byGroup[shimGroup] = p
	if len(s.byGroup) >= max(s.sweepAt, fewShims) {
		maps.DeleteFunc(s.byGroup, func(_ string, p shimPID) bool { return !p.lives() })
		s.sweepAt = 2 * len(s.byGroup)
	}
}

// shimPID returns the process of a group's shim, or 0. If a shim lives on that has lost its socket
// to a later one, that may be the earlier one, until a call of the later one has answered.
func (c *Client) shimPID(shimGroup string) int {
	return c.shims.of(shimGroup, func() int {
		pid, _ := c.shimProcess(shimGroup)
		return pid
	})
}
