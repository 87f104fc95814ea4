package plan

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// StateOf returns the state of a group, given the one before. Empty means that there was none.
func StateOf(in Input, before group.State) group.State {
	o := in.Observed
	if in.Want == nil {
		if o.Gone() {
			return group.Gone
		}
		return group.Stopping
	}
	if in.ToRun() == nil {
		down := group.Stopped
		switch {
		case in.Stopped:
		case in.scheduled():
			down = group.Scheduled
		default:
			down = in.Ended.State
		}
		if o.Gone() || o.ContainersErr != nil && before == down { // unknown: nothing was made since
			return down
		}
		return group.Stopping
	}
	if o.ContainersErr != nil {
		if before == "" || before == group.Stopping {
			return group.Pending
		}
		return before
	}
	switch {
	case in.allUp() && in.allReady(before):
		return group.Running
	case before == group.Running, before == group.Degraded, in.anyEnded():
		return group.Degraded
	case len(o.Containers) > 0:
		return group.Starting
	default:
		return group.Pending
	}
}

// allUp reports whether every container runs or has ended for good, and the network is not known to
// differ from what is wanted. The end of an optional container does not count.
func (in Input) allUp() bool {
	n := in.Observed.Net
	if n.Namespace == host.Absent || n.Rules == host.Absent || n.Link == host.Absent && in.Want.Egress != spec.EgressNone {
		return false
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.Container(c.Name)
		up := s.Task == host.TaskRunning && c.Role != spec.Init || in.endedForGood(c, s) && !in.givenUp(c, s) || in.endedWell(c, s)
		if !ok || s.Digest != c.Digest || !up && !(s.Task == host.TaskStopped && optional(c)) {
			return false
		}
	}
	return true
}

// optional reports whether the group counts as whole without the container.
func optional(c *spec.Container) bool {
	return c.OnFailure == spec.FailureIgnored && c.Role != spec.Ambassador && c.Role != spec.Init
}

// allReady reports whether all containers that run are ready. A keeper that has just started, and
// finds the group running, takes it for ready until the probes decide otherwise.
func (in Input) allReady(before group.State) bool {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if s.Task != host.TaskRunning || optional(c) {
			continue
		}
		h := in.healthOf(c)
		if !h.Ready && !(h.Unknown() && (before == "" || before == group.Running)) {
			return false
		}
	}
	return true
}

// anyEnded reports whether a container has ended that should run.
func (in Input) anyEnded() bool {
	return slices.ContainsFunc(in.Observed.Containers, func(s host.ContainerState) bool {
		c := in.Want.Container(s.Name)
		return s.Task == host.TaskStopped && c != nil && !in.endedWell(c, s) && !optional(c)
	})
}

// Problem returns why the group is not as wanted although there is nothing to do now. It is nil if
// the group is as wanted.
func Problem(in Input) error {
	err := in.Observed.Unknown(in.ToRun())
	switch {
	case err != nil:
		return err
	case in.EndedErr != nil:
		return in.EndedErr
	case in.Want == nil, in.Stopped, in.scheduled():
		return nil
	case in.Ended != nil:
		return in.Ended.Problem(in.Want)
	}
	for c, s := range in.down() {
		return in.endError(c, s, 1)
	}
	for i := range in.Want.Containers {
		if f, ok := in.Reloads[in.Want.Containers[i].Name]; ok {
			return f.Err
		}
	}
	return nil
}

// down yields the containers that have ended and keep the group from being as wanted. It yields
// none if nothing is to run, and if it is not known what does.
func (in Input) down() iter.Seq2[*spec.Container, host.ContainerState] {
	return func(yield func(*spec.Container, host.ContainerState) bool) {
		if in.ToRun() == nil || in.Observed.ContainersErr != nil {
			return
		}
		for i := range in.Want.Containers {
			c := &in.Want.Containers[i]
			s, _ := in.Observed.Container(c.Name)
			if s.Task != host.TaskStopped || optional(c) || in.endedWell(c, s) {
				continue
			}
			if !yield(c, s) {
				return
			}
		}
	}
}

// endError returns the error for a container that is down. times is how often it has ended.
func (in Input) endError(c *spec.Container, s host.ContainerState, times int) error {
	err := fmt.Errorf("%s ended with %s", c.Title(), in.exitOf(s))
	if times > 1 {
		err = fmt.Errorf("%s ended %d times, the last time with %s", c.Title(), times, in.exitOf(s))
	}
	advice := "it is started again with growing waits"
	if in.givenUp(c, s) {
		advice = fmt.Sprintf("%s, so it stays down until \"sallyport restart %s.%s\"", givenUpText(c), in.Want.Name, c.Name)
	} else if in.endedForGood(c, s) {
		advice = fmt.Sprintf("its restart policy is %s, so it stays down until \"sallyport restart %s.%s\"", c.Restart.Policy, in.Want.Name, c.Name)
	}
	return &hint.Error{Err: err, Hint: fmt.Sprintf("see \"sallyport logs %s.%s\"; %s", in.Want.Name, c.Name, advice)}
}

// An End is the end of a container that keeps its group from being as wanted.
type End struct {
	Container string
	At        time.Time
	Text      string // on one line: "web (app) ended with status 1"
}

// Ends returns the last end of each container that is down and keeps the group from being as
// wanted.
func Ends(in Input) (out []End) {
	for c, s := range in.down() {
		if !in.outdated(c, s) {
			out = append(out, End{c.Name, in.Records[c.Name].EndedAt, hint.Text(in.endError(c, s, 1))})
		}
	}
	return out
}

// Since estimates when a group entered its state, if this keeper has done nothing to it yet. For a
// running group it is the start of its newest process. The fallback is the present time.
func (in Input) Since(s group.State) time.Time {
	var at time.Time
	switch s {
	case group.Running:
		for _, c := range in.Observed.Containers {
			if c.Task == host.TaskRunning && c.StartedAt.After(at) {
				at = c.StartedAt
			}
		}
	case group.Completed:
		if in.Ended != nil {
			at = in.Ended.At
		}
	}
	if at.IsZero() || at.After(in.Now) { // after it: the clock was set back since
		return in.Now
	}
	return at
}
