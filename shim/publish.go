package shim

import (
	"errors"
	"fmt"
	"time"
)

// publish makes what was seen the status. err is what is wrong; nil: nothing is. busy says that steps are about to be done.
func (r *runner) publish(in PlanInput, err error, busy bool) State {
	containers := r.lastOutput(in, containerStatuses(in))
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.status
	st := GroupStatus{
		Name: r.group, State: stateOf(in, before.State), Addrs: in.Observed.Net.Addrs,
		Containers: containers, Waiting: awaits(in), Since: before.Since,
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
	if w := r.wish.wanted; w != nil {
		st.Egress, st.File, st.Generation, st.Digest = w.Group.Egress, w.File, w.Generation, w.Group.Digest
		st.Labels = w.Group.Labels
		if a := w.Group.Ambassador(); a != nil {
			st.Publish = a.Publish
			st.Intercept, st.Rate, st.Quota = a.Intercept, a.Rate, a.Quota
		}
		st.DNS, st.Unsafe = w.Group.DNS, UnsafeTexts(&w.Group)
		if err == nil {
			err = brokenFile(w)
		}
		if err == nil && w.Setback != nil {
			err = w.Setback.problem(r.group)
		}
		if u := w.Group.Update; r.trial.open(u) {
			st.TrialEnds = r.trial.began.Add(u.HealthTimeout)
		}
	}
	switch {
	case err != nil:
		st.Error, st.Hint = oneLine(err.Error()), hintOf(err)
	case st.Waiting != "":
		st.Hint = waitingHint(in)
	}
	r.status = st
	r.tellWatchers()
	select {
	case <-r.looked:
	default:
		close(r.looked) // under mu, so nobody else does
	}
	return st.State
}

// since is when a group of which this keeper has done nothing has entered its state, as far as what there is of it tells: one that
// runs, when the last of its programs was started.
func (in PlanInput) since(s State) time.Time {
	var at time.Time
	switch s {
	case Running:
		for _, c := range in.Observed.Containers {
			if c.Task == TaskRunning && c.StartedAt.After(at) {
				at = c.StartedAt
			}
		}
	case Completed:
		if in.Ended != nil {
			at = in.Ended.At
		}
	}
	if at.IsZero() || at.After(in.Now) { // later: the clock was set back since
		return in.Now
	}
	return at
}

// stateAt is the state that a look found.
func (r *runner) stateAt(in PlanInput) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return stateOf(in, r.status.State)
}

// brokenFile is the complaint about a group whose file can't be used.
func brokenFile(w *Wanted) error {
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
