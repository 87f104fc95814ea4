package shim

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// stateOf is the state of a group, given the one before; empty: there was none. It is pure.
func stateOf(in PlanInput, before State) State {
	o := in.Observed
	if in.Want == nil {
		if o.gone() {
			return Gone
		}
		return Stopping
	}
	if in.Stopped {
		if o.gone() {
			return Stopped
		}
		return Stopping
	}
	if o.ContainersErr != nil {
		if before == "" || before == Stopping {
			return Pending
		}
		return before
	}
	switch {
	case in.allUp():
		if in.completed() {
			return Completed
		}
		return Running
	case before == Running, before == Degraded, in.anyEnded():
		return Degraded
	case len(o.Containers) > 0:
		return Starting
	default:
		return Pending
	}
}

// allUp says that every container runs or has ended for good, and that the network is not known to be otherwise than wanted.
func (in PlanInput) allUp() bool {
	n := in.Observed.Net
	if n.Namespace == Absent || n.Rules == Absent || n.Link == Absent && in.Want.Egress != spec.EgressNone {
		return false
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.container(c.Name)
		if !ok || s.Digest != c.Digest || s.Task != TaskRunning && !finished(c, s) {
			return false
		}
	}
	return true
}

// completed says that every app has ended for good.
func (in PlanInput) completed() bool {
	apps := 0
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		if c.Role != spec.App {
			continue
		}
		apps++
		if s, ok := in.Observed.container(c.Name); !ok || !finished(c, s) {
			return false
		}
	}
	return apps > 0
}

func (in PlanInput) anyEnded() bool {
	return slices.ContainsFunc(in.Observed.Containers, func(s ContainerState) bool {
		return s.Task == TaskStopped && in.Want.Container(s.Name) != nil
	})
}

// finished says that the container has ended for good.
func finished(c *spec.Container, s ContainerState) bool {
	return s.Task == TaskStopped && !again(c.Restart, s.ExitStatus)
}

// complaint is why the group is not as wanted although there is nothing to do now; nil when it is.
func complaint(in PlanInput) error {
	if err := in.Observed.unknown(in.Want); err != nil || in.Want == nil || in.Stopped {
		return err
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.container(c.Name)
		if !ok || s.Task != TaskStopped {
			continue
		}
		err := fmt.Errorf("%s ended with status %d", target(c), s.ExitStatus)
		hint := fmt.Sprintf("see \"sallyport logs %s.%s\"; ", in.Want.Name, c.Name)
		if !finished(c, s) {
			return &Problem{Err: err, Hint: hint + "it is started again with growing waits"}
		}
		if s.ExitStatus != 0 {
			return &Problem{Err: err, Hint: hint + "its restart policy is " + string(c.Restart.Policy) + ", so it stays down"}
		}
	}
	return nil
}

// containerStatuses are the lines below a group's: what is wanted, in its order, then what is left of other definitions.
func containerStatuses(in PlanInput) []ContainerStatus {
	out := []ContainerStatus{}
	if in.Want != nil {
		for _, c := range in.Want.Containers {
			s, ok := in.Observed.container(c.Name)
			if !ok {
				s = ContainerState{Task: TaskNone}
				if in.Observed.ContainersErr != nil {
					s.Task = TaskUnknown
				}
			}
			s.Name, s.Role = c.Name, c.Role
			st := containerStatus(s, c.Image, in.History[c.Name])
			if s.Task == TaskStopped && !finished(&c, s) {
				st.NextStart = in.History[c.Name].Next
			}
			out = append(out, st)
		}
	}
	for _, s := range in.Observed.Containers {
		if in.Want == nil || in.Want.Container(s.Name) == nil {
			out = append(out, containerStatus(s, "", in.History[s.Name]))
		}
	}
	return out
}

func containerStatus(s ContainerState, image string, l Life) ContainerStatus {
	st := ContainerStatus{
		Name: s.Name, Role: s.Role, Image: image, Task: s.Task, PID: s.PID,
		Restarts: l.Restarts, ExitStatus: l.ExitStatus,
	}
	if s.Task == TaskRunning {
		st.StartedAt = l.StartedAt
	}
	return st
}
