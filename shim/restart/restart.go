// Package restart records how containers have ended, and computes when each may start again. The
// clock of the host can be set at any time, so no wait ever gets longer by the clock.
package restart

import (
	"maps"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// backoffExtra is the part that a wait may be longer by chance, so that groups don't restart in
// step.
const backoffExtra = 0.2

// Backoff returns the wait before the next try of what has failed so often in a row. chance is in
// [0,1).
func Backoff(row int, chance float64) time.Duration { return Wait(spec.Restart{}, row, chance) }

// Wait returns the wait before a container is started again that has ended so often in a row.
// chance is in [0,1).
func Wait(rule spec.Restart, row int, chance float64) time.Duration {
	d, longest := rule.Delays()
	for ; row > 1 && d < longest; row-- {
		d *= 2
	}
	d = min(d, longest)
	return d + time.Duration(float64(d)*backoffExtra*chance)
}

// rule returns when a container is started again by the definition that is wanted. A nil group, and
// one without the container, has the defaults.
func rule(want *spec.Group, container string) spec.Restart {
	if want != nil {
		if c := want.Container(container); c != nil {
			return c.Restart
		}
	}
	return spec.Restart{}
}

// Records hold what keepers have seen of the containers of one group, by name. The next keeper
// can't see what happened before it. So each end is saved when it is seen, and each stop before it
// is made ([store.Store.SetRestarts]). The JSON is that file's. No method changes the receiver.
type Records map[string]Record

// A Record is about one container. The zero value is a container that was never seen to start or
// end.
type Record struct {
	// Digest is that of the definition. A container with another one gets a new record.
	Digest string `json:"digest"`
	// CreatedAt is the [host.ContainerState.CreatedAt] of the container that was last seen
	// running or ended. Zero means that this container is not there any more.
	CreatedAt  time.Time `json:"made,omitzero"`
	Restarts   int       `json:"restarts,omitempty"`    // starts that followed an end
	EndsInARow int       `json:"row,omitempty"`         // each after a run shorter than [spec.Restart.Stable]
	Ended      bool      `json:"ended,omitempty"`       // its end was the last that was seen of it
	StartedAt  time.Time `json:"started_at,omitzero"`   // the last start
	EndedAt    time.Time `json:"ended_at,omitzero"`     // the last end
	ExitStatus *uint32   `json:"exit_status,omitempty"` // of the last end
	OOMKilled  bool      `json:"oom_killed,omitempty"`  // at the last end: a process was killed for memory
	Next       time.Time `json:"next,omitzero"`         // while Ended: when it starts again, if it does
	// Replacing means that the keeper stopped it to replace or remove it. It did not end by itself.
	Replacing bool `json:"taken,omitempty"`
	// ProbeFailure is the failure of its probes that the keeper stopped it for, or why it might not
	// go on. That is a failure, with any exit status. Empty means that there was none.
	ProbeFailure string `json:"condemned,omitempty"`
}

// Observe returns the records with an observation added. want is the definition that is wanted, or
// nil. chance returns numbers in [0,1), which spread the restarts.
func (rs Records) Observe(want *spec.Group, states []host.ContainerState, now time.Time, chance func() float64) Records {
	out := rs.clone()
	for _, c := range states {
		r := out.of(c.Name, c.Digest)
		switch c.Task {
		case host.TaskRunning:
			r = r.seen(c).running(c, rule(want, c.Name), now)
		case host.TaskStopped:
			r = r.seen(c).ended(c, rule(want, c.Name), now, chance)
		}
		out[c.Name] = r
	}
	return out
}

// Started returns the records with a start that the keeper made.
func (rs Records) Started(name, digest string, now time.Time) Records {
	out := rs.clone()
	r := out.of(name, digest)
	if !r.StartedAt.IsZero() || r.Ended {
		r.Restarts++
	}
	out[name] = r.startedAt(now)
	return out
}

// Stopped returns the records with a stop that the keeper made. probeFailure is why. Empty means
// that the container is replaced or removed.
func (rs Records) Stopped(name, probeFailure string) Records {
	out := rs.clone()
	r := out[name]
	r.Replacing, r.ProbeFailure = probeFailure == "", probeFailure
	out[name] = r
	return out
}

// ReplaceEnded returns the records with each ended container recorded as stopped by the keeper.
func (rs Records) ReplaceEnded(states []host.ContainerState) Records {
	for _, s := range states {
		if s.Task == host.TaskStopped {
			rs = rs.Stopped(s.Name, "")
		}
	}
	return rs
}

// Reset returns the records with the containers' ends in a row forgotten: an operator asked for a
// start.
func (rs Records) Reset(names ...string) Records {
	out := maps.Clone(rs)
	for _, name := range names {
		if r, ok := out[name]; ok {
			r.EndsInARow = 0
			out[name] = r
		}
	}
	return out
}

// clone returns a copy that is never nil.
func (rs Records) clone() Records {
	if rs == nil {
		return Records{}
	}
	return maps.Clone(rs)
}

// of returns the container's record, or a new one if it is about another definition.
func (rs Records) of(name, digest string) Record {
	if r := rs[name]; r.Digest == digest {
		return r
	}
	return Record{Digest: digest}
}

// IsOf reports whether the record's last run was that of the given container.
func (r Record) IsOf(c host.ContainerState) bool {
	return !r.CreatedAt.IsZero() && r.CreatedAt.Equal(c.CreatedAt)
}

// Lost reports whether the last run of that definition has no end on record, and the keeper did not
// stop it. It makes sense when the container is started again: its task went away with its shim.
func (r Record) Lost(digest string) bool {
	return r.Digest == digest && !r.StartedAt.IsZero() && !r.Ended && !r.Replacing && r.ProbeFailure == ""
}

// seen returns the record as one of the given container. If the container that is on record ended
// or was stopped and this is another one, a keeper has started it and died before it could save
// that.
func (r Record) seen(c host.ContainerState) Record {
	if !r.CreatedAt.Equal(c.CreatedAt) && (r.Ended || r.Replacing || r.ProbeFailure != "") {
		r.Restarts++
		r = r.startedAt(time.Time{})
	}
	r.CreatedAt = c.CreatedAt
	return r
}

// startedAt returns the record of a container that has started. Zero means at an unknown time.
func (r Record) startedAt(at time.Time) Record {
	r.Ended, r.StartedAt, r.Next, r.Replacing, r.ProbeFailure = false, at, time.Time{}, false, ""
	return r
}

// running returns the record of a container that runs.
func (r Record) running(c host.ContainerState, rule spec.Restart, now time.Time) Record {
	at := r.StartedAt
	if r.Ended || at.IsZero() {
		at = now
		if !c.StartedAt.IsZero() {
			at = c.StartedAt
		}
	}
	if now.Sub(at) >= rule.Stable() {
		r.EndsInARow = 0 // here too: a keeper doesn't see the end that a boot brings
	}
	return r.startedAt(at)
}

// ended returns the record of a container that has ended.
func (r Record) ended(c host.ContainerState, rule spec.Restart, now time.Time, chance func() float64) Record {
	if r.Ended || r.Replacing {
		return r
	}
	r.Ended, r.EndedAt = true, c.ExitedAt
	if r.EndedAt.IsZero() {
		r.EndedAt = now
	}
	status := c.ExitStatus
	r.ExitStatus, r.OOMKilled = &status, c.OOMKilled
	if !r.StartedAt.IsZero() && r.EndedAt.Sub(r.StartedAt) >= rule.Stable() {
		r.EndsInARow = 0
	}
	r.EndsInARow++
	wait := Wait(rule, r.EndsInARow, chance())
	passed := min(max(now.Sub(r.EndedAt), 0), wait) // the clock may have been set since: no wait grows by that
	r.Next = now.Add(wait - passed)
	return r
}
