package plan

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// ContainerStatuses returns the status of the wanted containers, in their order, and then of those
// that are left of other definitions.
func ContainerStatuses(in Input) []group.ContainerStatus {
	out := []group.ContainerStatus{}
	if in.Want != nil {
		for i := range in.Want.Containers {
			out = append(out, wantedStatus(in, &in.Want.Containers[i]))
		}
	}
	for _, s := range in.Observed.Containers {
		if in.Want == nil || in.Want.Container(s.Name) == nil {
			out = append(out, containerStatus(s, "", spec.Restart{}, in.Records[s.Name], in.Now))
		}
	}
	return out
}

func wantedStatus(in Input, c *spec.Container) group.ContainerStatus {
	s, ok := in.Observed.Container(c.Name)
	if !ok {
		s = host.ContainerState{Task: host.TaskNone}
		if in.Observed.ContainersErr != nil {
			s.Task = host.TaskUnknown
		}
	}
	s.Name, s.Role = c.Name, c.Role
	st := containerStatus(s, c.Image, c.Restart, in.Records[c.Name], in.Now)
	st.Waiting = in.waiting(c, s)
	switch {
	case s.Task == host.TaskRunning:
		st.Ready = c.Role != spec.Init && in.healthOf(c).Ready
	case s.Task == host.TaskStopped:
		st.Ready = c.Role == spec.Init && in.endedWell(c, s)
		if in.ToRun() != nil && in.restarts(c, s) {
			st.NextStart = in.Records[c.Name].Next
		}
		if in.ToRun() != nil && in.givenUp(c, s) {
			st.StaysDown = givenUpText(c) + ": type \"sallyport restart " + spec.ID(in.Want.Name, c.Name) + "\""
		}
	}
	if in.Ended != nil {
		if x, ok := in.Ended.Exits[c.Name]; ok {
			st.Exit(x.Status, x.OOMKilled)
		}
	}
	return st
}

func containerStatus(s host.ContainerState, image string, rule spec.Restart, r restart.Record, now time.Time) group.ContainerStatus {
	st := group.ContainerStatus{Name: s.Name, Role: s.Role, Image: image, Task: s.Task, PID: s.PID, Restarts: r.Restarts}
	if s.Lowered != "" {
		st.Lowered = strings.Split(s.Lowered, "\n")
	}
	if s.Devices != "" {
		st.Devices = strings.Split(s.Devices, "\n")
	}
	if r.Ended || now.Sub(r.StartedAt) < rule.Stable() {
		st.EndsInARow = r.EndsInARow
	}
	if r.ExitStatus != nil {
		st.Exit(*r.ExitStatus, r.OOMKilled)
	}
	if s.Task == host.TaskRunning {
		st.StartedAt, st.ReloadedAt = r.StartedAt, s.ReloadedAt
	}
	return st
}
