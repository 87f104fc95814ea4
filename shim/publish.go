package shim

import (
	"errors"
	"fmt"
)

// updateStatus makes the observation the status. err is what is wrong. It may be nil. busy is
// whether steps are about to be done.
func (r *Runner) updateStatus(in PlanInput, err error, busy bool) State {
	containers := r.addOutput(in, containerStatuses(in))
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status
	st := GroupStatus{
		Name: r.group, State: StateOf(in, before.State), Addrs: in.Observed.Net.Addrs,
		Containers: containers, Waiting: Awaits(in), Since: before.Since,
	}
	if st.State == Pending && busy {
		st.State = Starting
	}
	if st.State != before.State {
		st.Since = in.Now
		if !r.acted {
			st.Since = in.since(st.State)
		}
	}
	if w := r.desired.wanted; w != nil {
		st.Egress, st.File, st.Generation, st.Digest = w.Group.Egress, w.File, w.Generation, w.Group.Digest
		st.Labels = w.Group.Labels
		st.Door = w.Group.Door().Shown()
		st.DNS, st.Unsafe = w.Group.DNS, UnsafeTexts(&w.Group)
		if err == nil {
			err = brokenFileError(w)
		}
		if err == nil && w.Setback != nil {
			err = w.Setback.problem(r.group)
		}
		st.TrialEnds = r.rollout.Deadline(w.Group.Update)
	}
	switch {
	case err != nil:
		st.Error, st.Hint = oneLine(err.Error()), hintOf(err)
	case st.Waiting != "":
		st.Hint = waitingHint(in)
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
func (r *Runner) stateAt(in PlanInput) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return StateOf(in, r.status.State)
}

// brokenFileError returns an error if the group's file cannot be used.
func brokenFileError(w *Wanted) error {
	if w.Broken == nil {
		return nil
	}
	at := ""
	var fe *FileError
	if errors.As(w.Broken, &fe) && fe.line() > 0 {
		at = fmt.Sprintf(" (line %d)", fe.line())
	}
	return &Problem{
		Err:  fmt.Errorf("file %s can't be used%s: kept the last good definition: %w", w.File, at, w.Broken),
		Hint: "mend the file and apply it again",
	}
}

func (r *Runner) Status() GroupStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Watch returns what is wanted of the group, its status, and a channel that is closed when the
// status changes.
func (r *Runner) Watch() (*Wanted, GroupStatus, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statusChanged == nil {
		r.statusChanged = make(chan struct{})
	}
	return r.desired.wanted, r.status, r.statusChanged
}

// notifyWatchers needs mu.
func (r *Runner) notifyWatchers() {
	if r.statusChanged != nil {
		close(r.statusChanged)
		r.statusChanged = nil
	}
}
