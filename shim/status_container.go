package shim

import (
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A ContainerStatus is one line below a group's.
type ContainerStatus struct {
	Name       string    `json:"name"`
	Role       spec.Role `json:"role"`
	Image      string    `json:"image"`
	Task       TaskState `json:"task"`
	PID        uint32    `json:"pid,omitempty"`
	Ready      bool      `json:"ready"`             // it runs, and its probes say so or have no say; of an init: it has ended well
	Waiting    string    `json:"waiting,omitempty"` // what it waits for to be started, or why it is not ready; one line
	Restarts   int       `json:"restarts"`
	Row        int       `json:"ends_in_a_row,omitempty"` // each of a run shorter than ten minutes
	ExitStatus *uint32   `json:"exit_status,omitempty"`   // of the last end, if there was one
	Signal     string    `json:"signal,omitempty"`        // that ended it: "SIGKILL"
	OOMKilled  bool      `json:"oom_killed,omitempty"`    // the last end came with a kill for memory
	LastOutput []string  `json:"last_output,omitempty"`   // the end of its output, where its last end was a failure
	StartedAt  time.Time `json:"started_at,omitzero"`
	NextStart  time.Time `json:"next_start,omitzero"` // while backing off
}

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
		if in.toRun() != nil && in.again(c, s) {
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

func (st *ContainerStatus) exit(status uint32, oom bool) {
	st.ExitStatus, st.Signal, st.OOMKilled = &status, signalName(status), oom
}
