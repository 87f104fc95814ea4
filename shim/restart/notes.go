package restart

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// noted says that the life has something that the next keeper is to know.
func (l Record) noted() bool {
	return l.Ended || l.Replacing || l.ProbeFailure != "" || l.Restarts > 0 || l.EndsInARow > 0
}

// ToSave is what is written down of the history; never nil.
func (h Records) ToSave() Records {
	out := Records{}
	for name, l := range h {
		if l.noted() {
			out[name] = l
		}
	}
	return out
}

// Relevant returns the history of the containers that are wanted or there. With known false it is not known which are there, and
// the history stays as it is.
func (h Records) Relevant(want *spec.Group, states []host.ContainerState, known bool) Records {
	out := maps.Clone(h)
	maps.DeleteFunc(out, func(name string, _ Record) bool {
		there := slices.ContainsFunc(states, func(s host.ContainerState) bool { return s.Name == name })
		return known && !there && (want == nil || want.Container(name) == nil)
	})
	return out
}

// Resumed is what was written down as the history of a keeper that begins now. The clock may have been set since: no wait is longer
// than it was to be at first.
func (h Records) Resumed(now time.Time) Records {
	out := maps.Clone(h)
	for name, l := range out {
		if !l.Next.IsZero() {
			l.Next = now.Add(min(max(l.Next.Sub(now), 0), Backoff(l.EndsInARow, 1)))
			out[name] = l
		}
	}
	return out
}

// FromNothing is the history of a group that begins from nothing: how often its containers have ended is still known, and nothing of
// what is there now has ended. The starts that follow are no restarts, but of those that are asked to be one.
func (h Records) FromNothing(asked map[string]bool) Records {
	out := maps.Clone(h)
	for name, l := range out {
		if l.CreatedAt = (time.Time{}); !asked[name] {
			l = Record{Digest: l.Digest, Restarts: l.Restarts, EndsInARow: l.EndsInARow}
		}
		out[name] = l
	}
	return out
}

// Unchanged says that there is no difference worth writing down.
func (l Record) Unchanged(m Record) bool {
	status := l.ExitStatus == m.ExitStatus || l.ExitStatus != nil && m.ExitStatus != nil && *l.ExitStatus == *m.ExitStatus
	times := l.CreatedAt.Equal(m.CreatedAt) && l.StartedAt.Equal(m.StartedAt) && l.EndedAt.Equal(m.EndedAt) && l.Next.Equal(m.Next)
	l.ExitStatus, l.CreatedAt, l.StartedAt, l.EndedAt, l.Next = m.ExitStatus, m.CreatedAt, m.StartedAt, m.EndedAt, m.Next
	return status && times && l == m
}

// Contradicts says that what was written down tells of a container that is still the one it tells of what is not so any more.
func (h Records) Contradicts(was Records) bool {
	for name, w := range was {
		l, ok := h[name]
		same := ok && l.Digest == w.Digest && (l.CreatedAt.IsZero() || l.CreatedAt.Equal(w.CreatedAt))
		if same && (w.Ended && !l.Ended || w.Replacing && !l.Replacing || w.ProbeFailure != "" && l.ProbeFailure == "") {
			return true
		}
	}
	return false
}
