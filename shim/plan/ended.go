package plan

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Ending is how the group ends with what is seen; nil: it goes on.
func (in Input) Ending() *group.Ended {
	want := in.ToRun()
	if want == nil || in.EndedErr != nil || in.Observed.unsure() {
		return nil
	}
	e := group.Ended{State: group.Completed, At: in.Now, Exits: map[string]group.Exit{}}
	apps, done := 0, 0
	for i := range want.Containers {
		c := &want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		ended := s.Task == host.TaskStopped && !in.outdated(c, s)
		if ended {
			e.Exits[c.Name] = in.exitOf(s)
		}
		if ended && in.failed(s) && c.OnFailure == spec.FailureStopsGroup && e.By == "" {
			e.State, e.By = group.Stopped, c.Name
		}
		if c.Role == spec.App {
			apps++
			if in.finished(c, s) {
				done++
			}
		}
	}
	if e.By == "" && (apps == 0 || done < apps) {
		return nil
	}
	return &e
}

// Uncertain are the containers of which only what was written down tells whether they have ended for good: those that may have and
// have no task, and those whose end, as it is seen, would be for good, and may be the keeper's doing. An init that is seen to have
// ended with 0 is taken at its word.
func (in Input) Uncertain() (out []host.ContainerState) {
	want := in.ToRun()
	if want == nil || in.Observed.FromNothing() {
		return nil
	}
	for i := range want.Containers {
		c := &want.Containers[i]
		s, there := in.Observed.Container(c.Name)
		if !there || in.outdated(c, s) {
			continue
		}
		stops := c.OnFailure == spec.FailureStopsGroup
		switch s.Task {
		case host.TaskNone, host.TaskUnknown:
			if c.Role == spec.Init || c.Restart.Policy != spec.RestartAlways || stops {
				out = append(out, s)
			}
		case host.TaskStopped:
			good := c.Role == spec.Init && s.ExitStatus == 0
			if !good && (!in.again(c, s) || stops && in.failed(s)) {
				out = append(out, s)
			}
		}
	}
	return out
}
