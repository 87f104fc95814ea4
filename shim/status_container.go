package shim

import (
	"time"

	"github.com/sallyport/sallyport/spec"
)

// containerStatuses are the lines below a group's: what is wanted, in its order, then what is left of other definitions.
func containerStatuses(in PlanInput) []ContainerStatus {
	out := []ContainerStatus{}
	if in.Want != nil {
		for i := range in.Want.Containers {
			out = append(out, wantedStatus(in, &in.Want.Containers[i]))
		}
	}
	for _, s := range in.Observed.Containers {
		if in.Want == nil || in.Want.Container(s.Name) == nil {
			out = append(out, containerStatus(s, "", in.History[s.Name], in.Now))
		}
	}
	return out
}

func wantedStatus(in PlanInput, c *spec.Container) ContainerStatus {
	s, ok := in.Observed.container(c.Name)
	if !ok {
		s = ContainerState{Task: TaskNone}
		if in.Observed.ContainersErr != nil {
			s.Task = TaskUnknown
		}
	}
	s.Name, s.Role = c.Name, c.Role
	st := containerStatus(s, c.Image, in.History[c.Name], in.Now)
	st.Waiting = in.waiting(c, s)
	switch {
	case s.Task == TaskRunning:
		st.Ready = c.Role != spec.Init && in.healthOf(c).Ready
	case s.Task == TaskStopped:
		st.Ready = c.Role == spec.Init && in.endedWell(c, s)
		if in.ToRun() != nil && in.again(c, s) {
			st.NextStart = in.History[c.Name].Next
		}
	}
	if in.Ended != nil {
		if x, ok := in.Ended.Exits[c.Name]; ok {
			st.exit(x.Status, x.OOMKilled)
		}
	}
	return st
}

func containerStatus(s ContainerState, image string, l Life, now time.Time) ContainerStatus {
	st := ContainerStatus{Name: s.Name, Role: s.Role, Image: image, Task: s.Task, PID: s.PID, Restarts: l.Restarts}
	if l.Ended || now.Sub(l.StartedAt) < stable {
		st.Row = l.Row
	}
	if l.ExitStatus != nil {
		st.exit(*l.ExitStatus, l.OOMKilled)
	}
	if s.Task == TaskRunning {
		st.StartedAt = l.StartedAt
	}
	return st
}
