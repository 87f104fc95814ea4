// Package schedule decides when a group with a schedule runs. It is pure: the times that have been
// dealt with, the clock and a seed are all that a decision depends on.
//
// A due time is one of the schedule's cron expression. The run of a due time begins after a delay
// that the jitter bounds. The delay is always the same for a due time and a seed, so that a daemon
// that is started again draws no other one.
package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/spec"
	"github.com/sallyport/sallyport/spec/cron"
)

// Slack is how long after its time a run counts as in time. A daemon that is busy, or a host that
// is, begins it so late.
const Slack = time.Minute

// MostBack is how far the clock may be set back before the schedule begins anew. A clock that is
// set back by less runs nothing twice. One that is set back by more was wrong, and the times that
// were dealt with by it are in the future.
const MostBack = 24 * time.Hour

// A Timer has the times of a schedule.
type Timer struct {
	times  cron.Times
	zone   *time.Location
	jitter time.Duration
	late   bool // a missed run is made up for
	seed   string
}

// New returns the times of a schedule. The seed decides about delays.
func New(s *spec.Schedule, seed string) (Timer, error) {
	times, err := cron.Parse(s.Cron)
	if err != nil {
		return Timer{}, fmt.Errorf("cron %q: %w", s.Cron, err)
	}
	zone, err := cron.Zone(s.Timezone)
	if err != nil {
		return Timer{}, fmt.Errorf("time zone %q: %w", s.Timezone, err)
	}
	return Timer{times: times, zone: zone, jitter: s.Jitter, late: s.Missed == spec.MissedRun, seed: seed}, nil
}

// An Action is done about a due time.
type Action int

const (
	Wait  Action = iota // until Decision.At
	Begin               // a run, and Due is dealt with
	Miss                // Due was missed, and is dealt with
)

// A Decision has what to do now.
type Decision struct {
	Action Action
	Due    time.Time // Wait: the next one. Begin, Miss: the last one that has come. Zero: none ever comes
	At     time.Time // when its run begins, or had to
	// Missed reports whether At is long ago, or other due times came since the last one that was
	// dealt with.
	Late bool
}

// Decide returns what is to be done now. handled is the last due time that was dealt with, or the
// time since which the schedule counts. It is at most MostBack ahead of now: see Handled.
func (t Timer) Decide(handled, now time.Time) Decision {
	due := t.times.Next(handled, t.zone)
	if due.IsZero() {
		return Decision{}
	}
	d := Decision{Due: due, At: t.begin(due)}
	if d.At.After(now) {
		return d
	}
	d.Due = t.lastBegun(due, now)
	d.At = t.begin(d.Due)
	d.Late = now.Sub(d.At) > Slack
	d.Action = Begin
	if d.Late && !t.late {
		d.Action = Miss
	}
	return d
}

// Next returns when the next run begins, if all due times until now are dealt with.
func (t Timer) Next(handled, now time.Time) time.Time {
	d := t.Decide(handled, now)
	if d.Action == Wait {
		return d.At
	}
	if due := t.times.Next(d.Due, t.zone); !due.IsZero() {
		return t.begin(due)
	}
	return time.Time{}
}

// Handled returns the last due time that counts as dealt with. It is that of before, unless the
// clock was set back so far that this was no time at all.
func Handled(before, now time.Time) time.Time {
	if before.Sub(now) > MostBack {
		return now
	}
	return before
}

// looks are how far back the last due time is looked for. Each is at most 60 times the one before,
// or has few times that are due.
var looks = []time.Duration{time.Hour, 24 * time.Hour, 32 * 24 * time.Hour, 367 * 24 * time.Hour, 9 * 366 * 24 * time.Hour}

// lastBegun returns the last due time whose run had to begin by now. first is one of these. It does
// not go through all times since: a clock that jumps may jump by years.
func (t Timer) lastBegun(first, now time.Time) time.Time {
	last := first
	for _, back := range looks {
		from := now.Add(-t.jitter - back)
		if from.Before(first) {
			from = first
		}
		for due := t.times.Next(from, t.zone); !due.IsZero() && !t.begin(due).After(now); due = t.times.Next(due, t.zone) {
			last = due
		}
		if last.After(first) || from.Equal(first) {
			break
		}
	}
	return last
}

// begin returns when the run of a due time begins.
func (t Timer) begin(due time.Time) time.Time {
	if t.jitter == 0 {
		return due
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", t.seed, due.Unix()))
	delay := binary.BigEndian.Uint64(sum[:]) % uint64(t.jitter/time.Millisecond+1)
	return due.Add(time.Duration(delay) * time.Millisecond)
}
