package plan

import (
	"cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Ending returns how the group has ended by itself, as observed. It is nil if the group has not
// ended, or if it is already known to have.
func (in Input) Ending() *group.Ended {
	want := in.ToRun()
	if want == nil || in.Ended != nil || in.EndedErr != nil || in.Observed.containersUnknown() {
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
			e.Lost = cmp.Or(e.Lost, in.lostApp(c, s))
			apps++
			if in.endedForGood(c, s) {
				done++
			}
		}
	}
	switch {
	case e.Lost != "":
		e.State = group.Stopped
	case e.By != "":
	case in.Passed != nil:
		e.State, e.Bound = group.Stopped, in.Passed
	case apps > 0 && done == apps:
	case in.timedOut():
		e.State, e.Timeout = group.Stopped, want.Timeout
	default:
		return nil
	}
	return &e
}

// lostApp returns why the app of a run has no end of its own and would have to be started again. It
// is empty if it goes on, has not begun, or has ended.
func (in Input) lostApp(c *spec.Container, s host.ContainerState) string {
	r := in.Records[c.Name]
	began := in.Once && r.Digest == c.Digest && !r.StartedAt.IsZero()
	switch {
	case !began:
		return ""
	case (s.Task == "" || s.Task == host.TaskNone) && r.Lost(c.Digest):
		return c.Title() + " is gone and left no exit status: its shim has ended, or was killed"
	case s.Task != host.TaskRunning:
		return ""
	case in.rulesAssured() && in.namespaceLost():
		return c.Title() + " can't go on: others have removed the network namespace of the run"
	case in.volumeOutdated(c.Name):
		return c.Title() + " can't go on: others have unmounted a volume of the run"
	case in.Restart[c.Name]:
		return c.Title() + " can't go on: its output can't be written any more"
	}
	return ""
}

// Uncertain returns the containers whose final state only the saved records can tell. They are
// those without a task that may have ended for good, and those whose observed end would be for good
// unless the keeper has stopped them. An init that has ended with status 0 is not among them.
func (in Input) Uncertain() (out []host.ContainerState) {
	want := in.ToRun()
	if want == nil || in.Observed.FromNothing() {
		return nil
	}
	for i := range want.Containers {
		c := &want.Containers[i]
		s, ok := in.Observed.Container(c.Name)
		if !ok || in.outdated(c, s) {
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
			if !good && (!in.restarts(c, s) || stops && in.failed(s)) {
				out = append(out, s)
			}
		}
	}
	return out
}
