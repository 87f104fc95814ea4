package runner

import (
	"hash/fnv"
	"io"
	"time"
)

// Groups are observed without a cause at certain moments alone, so that those of one moment share
// one list of containers.
const (
	firstMoments = 15 // of a resync, for the groups of a daemon that has just started
	moments      = 60 // of a resync
)

// turn returns when the group is next observed without a cause.
func (r *Runner) turn(now time.Time) time.Time {
	first := !r.turned && !r.acted
	r.turned = true
	if first {
		return firstTurn(r.group, now, r.config.Resync)
	}
	return nextTurn(now, r.config.Resync)
}

// firstTurn returns when a group that runs already is next observed without a cause. A new daemon
// has observed all groups at the same time. By their names they are spread over the resync.
func firstTurn(group string, now time.Time, resync time.Duration) time.Time {
	h := fnv.New32a()
	_, _ = io.WriteString(h, group) // a hash takes everything
	at := time.Duration(h.Sum32()%firstMoments) * (resync / firstMoments)
	wait := at - sinceMoment(now, resync)
	if wait <= 0 {
		wait += resync
	}
	return now.Add(wait)
}

// nextTurn returns when a group is next observed without a cause: at the last moment of the resync
// that follows. A group that is observed in its turn keeps it.
func nextTurn(now time.Time, resync time.Duration) time.Time {
	grain := max(resync/moments, 1)
	return now.Add(resync - sinceMoment(now.Add(resync), grain))
}

// sinceMoment returns how long ago the clock was last at a multiple of d.
func sinceMoment(now time.Time, d time.Duration) time.Duration {
	return time.Duration(now.UnixNano() % int64(d))
}
