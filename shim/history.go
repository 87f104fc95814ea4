package shim

import (
	"maps"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A History is what the keeper has seen of the lives of one group's containers, by name. It is kept in memory only: a new
// keeper starts with an empty one, so that a container that has ended is due at once, or nearly.
type History map[string]Life

// A Life is one container's. Its zero value is a container that has not been seen to start or end.
type Life struct {
	Digest     string    // of the definition it is the life of; another one begins anew
	Restarts   int       // starts that followed an end
	Row        int       // ends in a row, each of a run shorter than the stable time
	Ended      bool      // the last thing seen was its end
	StartedAt  time.Time // of the last start
	EndedAt    time.Time // of the last end
	ExitStatus *uint32   // of the last end
	Next       time.Time // while Ended: the time for its next start, if it is to be started again
}

// seen returns the history with an observation added. chance is in [0,1) and spreads the restarts.
func (h History) seen(states []ContainerState, now time.Time, chance func() float64) History {
	out := maps.Clone(h)
	if out == nil {
		out = History{}
	}
	for _, c := range states {
		l := out[c.Name]
		if l.Digest != c.Digest {
			l = Life{Digest: c.Digest}
		}
		switch c.Task {
		case TaskRunning:
			l = l.running(c, now)
		case TaskStopped:
			l = l.ended(c, now, chance)
		}
		out[c.Name] = l
	}
	return out
}

// started returns the history with a start that the keeper made.
func (h History) started(name, digest string, now time.Time) History {
	out := maps.Clone(h)
	if out == nil {
		out = History{}
	}
	l := out[name]
	if l.Digest != digest {
		l = Life{Digest: digest}
	}
	if !l.StartedAt.IsZero() || l.Ended {
		l.Restarts++
	}
	l.Ended, l.StartedAt, l.Next = false, now, time.Time{}
	out[name] = l
	return out
}

// forgiven returns the history with the container's row of ends forgotten: an operator asked for a start.
func (h History) forgiven(name string) History {
	out := maps.Clone(h)
	if l, ok := out[name]; ok {
		l.Row = 0
		out[name] = l
	}
	return out
}

func (l Life) running(c ContainerState, now time.Time) Life {
	if l.Ended || l.StartedAt.IsZero() {
		l.StartedAt = now
		if !c.StartedAt.IsZero() {
			l.StartedAt = c.StartedAt
		}
	}
	l.Ended, l.Next = false, time.Time{}
	return l
}

func (l Life) ended(c ContainerState, now time.Time, chance func() float64) Life {
	if l.Ended {
		return l
	}
	l.Ended, l.EndedAt = true, c.ExitedAt
	if l.EndedAt.IsZero() {
		l.EndedAt = now
	}
	status := c.ExitStatus
	l.ExitStatus = &status
	if !l.StartedAt.IsZero() && l.EndedAt.Sub(l.StartedAt) >= stable {
		l.Row = 0
	}
	l.Row++
	l.Next = l.EndedAt.Add(backoff(l.Row, chance()))
	return l
}

// again says whether a container that ended with the status is to be started again.
func again(r spec.Restart, status uint32) bool {
	switch r.Policy {
	case spec.RestartNever:
		return false
	case spec.RestartOnFailure:
		return status != 0
	default:
		return true
	}
}
