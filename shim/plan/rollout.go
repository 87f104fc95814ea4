package plan

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Rollout is the time in which a new generation has to become ready: every part of it, within its
// health_timeout. The time is that of this daemon, by its monotonic clock. It runs only while the
// group can be observed and is not stopped. A daemon that starts in the middle of a rollout gives
// the whole time again: it can trust neither the clock of the previous daemon nor what happened
// meanwhile. The rollout is kept in memory. The disk has only whether it is over:
// [store.Wanted].Proved.
type Rollout struct {
	generation int
	began      time.Time // zero: the time does not run
	readySince time.Time // since when all of it has been ready; zero: it is not
	healthy    bool      // it has proved itself
	late       bool      // it was not ready in time; it still may become so
	givenUp    error     // why it was late before its time was over. Nil: it was not

	// before has, by container, the ends in a row that the rollout does not count: they were before
	// it began.
	before map[string]int
}

// A RolloutSample is the state of a generation in one reconciliation.
type RolloutSample struct {
	Known   bool // all of it could be observed
	Ready   bool // all of it is as it should be
	Ended   bool // by itself and for good: nothing more will come
	Stopped bool
	GiveUp  error // why it is not worth waiting any longer, by [Rollout.GiveUp]
}

// A RolloutVerdict is the result of a rollout so far.
type RolloutVerdict int

const (
	RolloutPending RolloutVerdict = iota
	RolloutHealthy                // it has proved itself
	RolloutLate                   // returned once
)

// How long a generation must be ready without a break. A program that ends soon after its start
// must not prove anything. One that can't read its configuration ends within earlyEnd.
const (
	minHealthyTime = 2 * time.Second        // of a generation with a time limit
	earlyEnd       = 500 * time.Millisecond // of one without
)

// HealthyRollout returns the rollout of a generation that has proved itself already.
func HealthyRollout(generation int) Rollout { return Rollout{generation: generation, healthy: true} }

// Follow returns the rollout after one more observation, for [Rollout.GiveUp]. It is called before
// anything is done for a new generation. Ends of its containers before that are not the
// generation's, and neither are those before a restart or a start by an operator. As long as the
// records of earlier ends can't be read, nothing is counted.
func (t Rollout) Follow(generation int, in Input) Rollout {
	if in.Want == nil || in.EndedErr != nil {
		return t
	}
	if t.generation != generation {
		t = Rollout{generation: generation}
	}
	first := t.before == nil
	before := map[string]int{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		if r := in.Records[c.Name]; r.Digest == c.Digest {
			before[c.Name] = r.EndsInARow
		}
		if !first {
			before[c.Name] = min(before[c.Name], t.before[c.Name])
		}
	}
	t.before = before
	return t
}

// GiveUp returns why the generation can't be expected to become ready: a container has failed and
// is not started again, or has ended max_ends times in the rollout. Optional containers don't
// count, nor do ends that are as they should be. A nil error means that it is worth waiting.
func (t Rollout) GiveUp(in Input) error {
	for c, s := range in.down() {
		if in.outdated(c, s) {
			continue
		}
		ends := in.Records[c.Name].EndsInARow - t.before[c.Name]
		if !in.restarts(c, s) || ends >= in.Want.Update.MostEnds() {
			return in.endError(c, s, ends)
		}
	}
	return nil
}

// Observe returns the rollout after one more sample.
func (t Rollout) Observe(generation int, u spec.Update, s RolloutSample, now time.Time) (Rollout, RolloutVerdict) {
	if t.generation != generation {
		t = Rollout{generation: generation}
	}
	switch {
	case t.healthy:
		return t, RolloutPending
	case s.Stopped:
		t.began, t.readySince = time.Time{}, time.Time{}
		return t, RolloutPending
	case !s.Known:
		t.began, t.readySince = now, time.Time{}
		return t, RolloutPending
	case t.began.IsZero():
		t.began = now
	}
	if !s.Ready {
		t.readySince = time.Time{}
		if !t.late && u.HealthTimeout > 0 && (s.Ended || s.GiveUp != nil || now.Sub(t.began) >= u.HealthTimeout) {
			t.late, t.givenUp = true, s.GiveUp
			return t, RolloutLate
		}
		return t, RolloutPending
	}
	if t.readySince.IsZero() {
		t.readySince = now
	}
	if s.Ended || now.Sub(t.readySince) >= minHealthyFor(u) {
		t.healthy, t.late, t.givenUp = true, false, nil
		return t, RolloutHealthy
	}
	return t, RolloutPending
}

// minHealthyFor returns how long the generation must be ready: at most half of its health_timeout.
func minHealthyFor(u spec.Update) time.Duration {
	if u.HealthTimeout == 0 {
		return earlyEnd
	}
	return min(minHealthyTime, u.HealthTimeout/2)
}

// NextCheck returns when time alone changes the verdict. Zero means never.
func (t Rollout) NextCheck(u spec.Update) time.Time {
	switch {
	case t.healthy, t.began.IsZero():
		return time.Time{}
	case !t.readySince.IsZero():
		return t.readySince.Add(minHealthyFor(u))
	case t.late, u.HealthTimeout == 0:
		return time.Time{}
	default:
		return t.began.Add(u.HealthTimeout)
	}
}

// Undecided reports whether a generation with a time limit waits for its verdict.
func (t Rollout) Undecided(u spec.Update) bool {
	return u.HealthTimeout > 0 && !t.healthy && !t.late && !t.began.IsZero()
}

// Deadline returns when the generation must be ready. Zero means that it has no limit, or that its
// rollout is over.
func (t Rollout) Deadline(u spec.Update) time.Time {
	if !t.Undecided(u) {
		return time.Time{}
	}
	return t.began.Add(u.HealthTimeout)
}

// Late reports whether the generation was not ready in time, and still is not.
func (t Rollout) Late() bool { return t.late }

// Update returns how the wanted generation has to prove itself. It is zero if none can, now.
func (in Input) Update() spec.Update {
	if in.Want == nil || in.Stopped {
		return spec.Update{}
	}
	return in.Want.Update
}

// Ready reports whether everything that runs and counts is ready by an answer of its probes. It is
// not enough that they have not answered yet.
func (in Input) Ready() bool {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if s.Task == host.TaskRunning && !optional(c) && !in.healthOf(c).Ready {
			return false
		}
	}
	return true
}

// Failing returns why a generation that is late has not become ready.
func (t Rollout) Failing(in Input, state group.State, err error) error {
	if t.givenUp != nil {
		return cmp.Or(t.GiveUp(in), t.givenUp)
	}
	if err == nil {
		err = &hint.Error{Err: errors.New(cmp.Or(Blocked(in), "it is "+string(state))), Hint: WaitingHint(in)}
	}
	if in.Ended != nil {
		return err
	}
	return &hint.Error{Err: fmt.Errorf("not ready within %s: %w", in.Want.Update.HealthTimeout, err), Hint: hint.Of(err)}
}
