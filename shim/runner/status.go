package runner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/shim/store"
)

// updateStatus makes the status from an observation, and returns its state. err is the problem. A
// nil err means that there is none. busy reports whether steps are about to be done.
func (r *Runner) updateStatus(in plan.Input, err error, busy bool) group.State {
	containers := r.addOutput(in, plan.ContainerStatuses(in))
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status
	st := group.Status{
		Name: r.group, State: plan.StateOf(in, before.State), Addrs: in.Observed.Net.Addrs,
		Containers: containers, Waiting: plan.Blocked(in), Since: before.Since,
		Ended: in.Ended != nil && !in.Stopped, TimedOut: in.Ended != nil && !in.Stopped && in.Ended.Timeout != 0,
		RunEnds: in.RunEnds.Round(100 * time.Millisecond), // two clocks make it, so it is never quite the same
	}
	if st.State == group.Pending && busy {
		st.State = group.Starting
	}
	if st.State != before.State {
		st.Since = in.Now
		if !r.acted {
			st.Since = in.Since(st.State)
		}
	}
	if w := r.desired.wanted; w != nil {
		st.Egress, st.File, st.Generation, st.Digest = w.Group.Egress, w.File, w.Generation, w.Group.Digest
		st.Labels = w.Group.Labels
		st.Door, st.CallsNowhere = w.Group.Door().Shown(), w.Group.Door().Allow.Nowhere()
		st.DNS, st.Unsafe = w.Group.DNS, reach.Unsafe(&w.Group)
		if err == nil {
			err = brokenFileError(w)
		}
		if err == nil && w.Setback != nil {
			err = w.Setback.Problem(r.group)
		}
		if err == nil {
			err = r.desired.uncopied.problem()
		}
		if in.ToRun() != nil {
			st.Bounds = r.desired.bounds
		}
		st.TrialEnds = r.rollout.Deadline(w.Group.Update)
	}
	if in.ToRun() != nil && in.Observed.SecretsErr == nil {
		for _, name := range slices.Sorted(maps.Keys(in.Observed.Secrets.Problems)) {
			st.Notes = append(st.Notes, in.Observed.Secrets.Problems[name])
		}
	}
	switch {
	case err != nil:
		st.Error, st.Hint = hint.OneLine(err.Error()), hint.Of(err)
	case st.Waiting != "":
		st.Hint = plan.WaitingHint(in)
	}
	r.status = st
	r.notifyWatchers()
	select {
	case <-r.observed:
	default:
		close(r.observed) // under mu, so it is closed once
	}
	return st.State
}

// stateAt returns the state that follows from an observation.
func (r *Runner) stateAt(in plan.Input) group.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return plan.StateOf(in, r.status.State)
}

// brokenFileError returns an error if the group's file cannot be used.
func brokenFileError(w *store.Wanted) error {
	if w.Broken == nil {
		return nil
	}
	at := ""
	var fe *store.FileError
	if errors.As(w.Broken, &fe) && fe.Line() > 0 {
		at = fmt.Sprintf(" (line %d)", fe.Line())
	}
	return &hint.Error{
		Err:  fmt.Errorf("file %s can't be used%s: kept the last good definition: %w", w.File, at, w.Broken),
		Hint: "mend the file and apply it again",
	}
}

// Status returns the status as of the last observation.
func (r *Runner) Status() group.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Watch returns what is wanted of the group, its status, and a channel that is closed when the
// status changes.
func (r *Runner) Watch() (*store.Wanted, group.Status, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statusChanged == nil {
		r.statusChanged = make(chan struct{})
	}
	return r.desired.wanted, r.status, r.statusChanged
}

// notifyWatchers ends the waits for a change of the status. The caller holds mu.
func (r *Runner) notifyWatchers() {
	if r.statusChanged != nil {
		close(r.statusChanged)
		r.statusChanged = nil
	}
}
