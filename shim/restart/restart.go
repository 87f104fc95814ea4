package restart

import (
	"maps"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// A Records is what keepers have seen of the lives of one group's containers, by name. What a next keeper can't see, it is told: each
// end is written down when it is seen, and each stop before it is made ([store.Store.SetRestarts]). Its JSON is that file's.
type Records map[string]Record

// A Record is one container's. Its zero value is a container that has not been seen to start or end.
type Record struct {
	Digest       string    `json:"digest"`                // of the definition it is the life of; another one begins anew
	CreatedAt    time.Time `json:"made,omitzero"`         // the [host.ContainerState.CreatedAt] that was last seen to run or to have ended; zero: nothing there is that
	Restarts     int       `json:"restarts,omitempty"`    // starts that followed an end
	EndsInARow   int       `json:"row,omitempty"`         // ends in a row, each of a run shorter than the stable time
	Ended        bool      `json:"ended,omitempty"`       // the last thing seen was its end
	StartedAt    time.Time `json:"started_at,omitzero"`   // of the last start
	EndedAt      time.Time `json:"ended_at,omitzero"`     // of the last end
	ExitStatus   *uint32   `json:"exit_status,omitempty"` // of the last end
	OOMKilled    bool      `json:"oom_killed,omitempty"`  // the last end came with a kill for memory
	Next         time.Time `json:"next,omitzero"`         // while Ended: the time for its next start, if it is to be started again
	Replacing    bool      `json:"taken,omitempty"`       // the keeper stopped it, to make it anew: no end of its own
	ProbeFailure string    `json:"condemned,omitempty"`   // why the keeper stopped it for its probes: a failure, whatever its status; empty: it did not
}

// Observe returns the history with an observation added. chance is in [0,1) and spreads the restarts.
func (h Records) Observe(states []host.ContainerState, now time.Time, chance func() float64) Records {
	out := maps.Clone(h)
	if out == nil {
		out = Records{}
	}
	for _, c := range states {
		l := out[c.Name]
		if l.Digest != c.Digest {
			l = Record{Digest: c.Digest}
		}
		switch c.Task {
		case host.TaskRunning:
			l = l.anew(c).running(c, now)
		case host.TaskStopped:
			l = l.anew(c).ended(c, now, chance)
		}
		out[c.Name] = l
	}
	return out
}

// Started returns the history with a start that the keeper made.
func (h Records) Started(name, digest string, now time.Time) Records {
	out := maps.Clone(h)
	if out == nil {
		out = Records{}
	}
	l := out[name]
	if l.Digest != digest {
		l = Record{Digest: digest}
	}
	if !l.StartedAt.IsZero() || l.Ended {
		l.Restarts++
	}
	l.Ended, l.StartedAt, l.Next, l.Replacing, l.ProbeFailure = false, now, time.Time{}, false, ""
	out[name] = l
	return out
}

// Stopped returns the history with a stop that the keeper made. because is what the container's probes said; empty: it is made
// anew, or goes.
func (h Records) Stopped(name, because string) Records {
	out := maps.Clone(h)
	if out == nil {
		out = Records{}
	}
	l := out[name]
	l.Replacing, l.ProbeFailure = because == "", because
	out[name] = l
	return out
}

// ReplaceEnded returns the history with each container that has ended noted as stopped by the keeper.
func (h Records) ReplaceEnded(states []host.ContainerState) Records {
	for _, s := range states {
		if s.Task == host.TaskStopped {
			h = h.Stopped(s.Name, "")
		}
	}
	return h
}

// Reset returns the history with the containers' rows of ends forgotten: an operator asked for a start.
func (h Records) Reset(names ...string) Records {
	out := maps.Clone(h)
	for _, name := range names {
		if l, ok := out[name]; ok {
			l.EndsInARow = 0
			out[name] = l
		}
	}
	return out
}

// IsOf says that the life's last run was that of a container that is there.
func (l Record) IsOf(c host.ContainerState) bool {
	return !l.CreatedAt.IsZero() && l.CreatedAt.Equal(c.CreatedAt)
}

// anew is the life with what is known of the container itself. Where that is another than the one that was last known to have ended
// or been stopped, it has been started since, and the keeper that did so did not live to note it.
func (l Record) anew(c host.ContainerState) Record {
	if !l.CreatedAt.Equal(c.CreatedAt) && (l.Ended || l.Replacing || l.ProbeFailure != "") {
		l.Restarts++
		l.Ended, l.StartedAt, l.Next, l.Replacing, l.ProbeFailure = false, time.Time{}, time.Time{}, false, ""
	}
	l.CreatedAt = c.CreatedAt
	return l
}

func (l Record) running(c host.ContainerState, now time.Time) Record {
	if l.Ended || l.StartedAt.IsZero() {
		l.StartedAt = now
		if !c.StartedAt.IsZero() {
			l.StartedAt = c.StartedAt
		}
	}
	if now.Sub(l.StartedAt) >= Stable {
		l.EndsInARow = 0 // now, since nobody sees the end that a boot brings
	}
	l.Ended, l.Next, l.Replacing, l.ProbeFailure = false, time.Time{}, false, ""
	return l
}

func (l Record) ended(c host.ContainerState, now time.Time, chance func() float64) Record {
	if l.Ended || l.Replacing {
		return l
	}
	l.Ended, l.EndedAt = true, c.ExitedAt
	if l.EndedAt.IsZero() {
		l.EndedAt = now
	}
	status := c.ExitStatus
	l.ExitStatus, l.OOMKilled = &status, c.OOMKilled
	if !l.StartedAt.IsZero() && l.EndedAt.Sub(l.StartedAt) >= Stable {
		l.EndsInARow = 0
	}
	l.EndsInARow++
	wait := Backoff(l.EndsInARow, chance())
	passed := min(max(now.Sub(l.EndedAt), 0), wait) // the clock may have been set since: no wait grows by that
	l.Next = now.Add(wait - passed)
	return l
}
