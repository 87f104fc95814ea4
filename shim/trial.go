package shim

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A trial is the time in which a new generation has to prove itself: every part of it ready within its health_timeout. It lives in
// memory: the time is this daemon's, by a clock that nobody sets, and runs only while the group can be looked at and is not
// stopped. A daemon that is started in the middle of one gives the whole time again, since neither the clock of the one before nor
// what happened meanwhile is to be trusted. That a trial goes on is on disk: [Wanted].Proved.
type rollout struct {
	generation int
	began      time.Time // zero: its time does not run
	readySince time.Time // since when all of it has been ready; zero: it is not
	healthy    bool      // it has proved itself
	late       bool      // it has not in time; it still may
}

// A sighting is what one look found of a generation.
type rolloutSample struct {
	known   bool // all of it could be looked at
	ready   bool // all of it is as it should be
	ended   bool // of its own accord and for good: no more is to come
	stopped bool
}

// A decision is what is to become of a generation.
type rolloutVerdict int

const (
	rolloutPending rolloutVerdict = iota
	rolloutHealthy                // it has proved itself
	rolloutLate                   // told once
)

// steady is how long a generation that has a time limit must be ready without a break: a program that ends soon after its start
// must not prove anything.
const minHealthyTime = 2 * time.Second

// see returns the trial after one more look at the generation.
func (t rollout) observe(generation int, u spec.Update, s rolloutSample, now time.Time) (rollout, rolloutVerdict) {
	if t.generation != generation {
		t = rollout{generation: generation}
	}
	switch {
	case t.healthy:
		return t, rolloutPending
	case s.stopped:
		t.began, t.readySince = time.Time{}, time.Time{}
		return t, rolloutPending
	case !s.known:
		t.began, t.readySince = now, time.Time{}
		return t, rolloutPending
	case t.began.IsZero():
		t.began = now
	}
	if !s.ready {
		t.readySince = time.Time{}
		if !t.late && u.HealthTimeout > 0 && (s.ended || now.Sub(t.began) >= u.HealthTimeout) {
			t.late = true
			return t, rolloutLate
		}
		return t, rolloutPending
	}
	if t.readySince.IsZero() {
		t.readySince = now
	}
	if s.ended || now.Sub(t.readySince) >= minHealthyFor(u) {
		t.healthy, t.late = true, false
		return t, rolloutHealthy
	}
	return t, rolloutPending
}

// steadyFor is no longer than half of the time there is.
func minHealthyFor(u spec.Update) time.Duration { return min(minHealthyTime, u.HealthTimeout/2) }

// next says when time alone decides; zero: never.
func (t rollout) nextCheck(u spec.Update) time.Time {
	switch {
	case t.healthy, t.began.IsZero(), u.HealthTimeout == 0:
		return time.Time{}
	case !t.readySince.IsZero():
		return t.readySince.Add(minHealthyFor(u))
	case t.late:
		return time.Time{}
	default:
		return t.began.Add(u.HealthTimeout)
	}
}

// open says that whoever waits for the generation is to wait on for a verdict.
func (t rollout) undecided(u spec.Update) bool {
	return u.HealthTimeout > 0 && !t.healthy && !t.late && !t.began.IsZero()
}

// update is how the wanted generation has to prove itself; zero where none can, now.
func (in PlanInput) update() spec.Update {
	if in.Want == nil || in.Stopped {
		return spec.Update{}
	}
	return in.Want.Update
}

// proven says that everything that runs and counts is ready by its probes' word: it is not enough that they have not spoken yet.
func (in PlanInput) ready() bool {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.container(c.Name)
		if s.Task == TaskRunning && !minor(c) && !in.healthOf(c).Ready {
			return false
		}
	}
	return true
}

// failing is why a generation has not proved itself.
func (in PlanInput) failing(state State, err error) error {
	if err == nil {
		err = &Problem{Err: errors.New(cmp.Or(awaits(in), "it is "+string(state))), Hint: waitingHint(in)}
	}
	if in.Ended != nil {
		return err
	}
	return &Problem{Err: fmt.Errorf("not ready within %s: %w", in.Want.Update.HealthTimeout, err), Hint: hintOf(err)}
}
