package restart

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// ToSave returns the records that the next keeper has to know. It is never nil.
func (rs Records) ToSave() Records {
	out := Records{}
	for name, r := range rs {
		if r.Ended || r.Replacing || r.ProbeFailure != "" || r.Restarts > 0 || r.EndsInARow > 0 {
			out[name] = r
		}
	}
	return out
}

// Relevant returns the records of the containers that are wanted or exist. If it is not known which
// exist, it returns all records.
func (rs Records) Relevant(want *spec.Group, states []host.ContainerState, known bool) Records {
	out := maps.Clone(rs)
	maps.DeleteFunc(out, func(name string, _ Record) bool {
		exists := slices.ContainsFunc(states, func(s host.ContainerState) bool { return s.Name == name })
		return known && !exists && (want == nil || want.Container(name) == nil)
	})
	return out
}

// Resumed returns saved records for a keeper that begins now. The clock may have been set since
// they were saved. So no wait is longer than it was at first. want is the definition that is
// wanted, or nil.
func (rs Records) Resumed(want *spec.Group, now time.Time) Records {
	out := maps.Clone(rs)
	for name, r := range out {
		if !r.Next.IsZero() {
			r.Next = now.Add(min(max(r.Next.Sub(now), 0), Wait(rule(want, name), r.EndsInARow, 1)))
			out[name] = r
		}
	}
	return out
}

// FromNothing returns the records for a group that is created from nothing, as after a boot. They
// keep how often its containers have ended. No container that exists now has ended. The starts that
// follow count as restarts only for the containers whose restart was asked for.
func (rs Records) FromNothing(asked map[string]bool) Records {
	out := maps.Clone(rs)
	for name, r := range out {
		if r.CreatedAt = (time.Time{}); !asked[name] {
			r = Record{Digest: r.Digest, Restarts: r.Restarts, EndsInARow: r.EndsInARow}
		}
		out[name] = r
	}
	return out
}

// Unchanged reports whether the two records are the same once they are saved.
func (r Record) Unchanged(o Record) bool {
	status := r.ExitStatus == o.ExitStatus || r.ExitStatus != nil && o.ExitStatus != nil && *r.ExitStatus == *o.ExitStatus
	times := r.CreatedAt.Equal(o.CreatedAt) && r.StartedAt.Equal(o.StartedAt) && r.EndedAt.Equal(o.EndedAt) && r.Next.Equal(o.Next)
	r.ExitStatus, r.CreatedAt, r.StartedAt, r.EndedAt, r.Next = o.ExitStatus, o.CreatedAt, o.StartedAt, o.EndedAt, o.Next
	return status && times && r == o
}

// Contradicts reports whether the saved records have an end or a stop, for a container that still
// exists, that rs no longer has.
func (rs Records) Contradicts(saved Records) bool {
	for name, s := range saved {
		r, ok := rs[name]
		same := ok && r.Digest == s.Digest && (r.CreatedAt.IsZero() || r.CreatedAt.Equal(s.CreatedAt))
		if same && (s.Ended && !r.Ended || s.Replacing && !r.Replacing || s.ProbeFailure != "" && r.ProbeFailure == "") {
			return true
		}
	}
	return false
}
