package plan

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// RunOver reports whether the run of a job that has begun is over. The next start then begins
// another run. A run is over when nothing of the group is to run. It is also over when an app is to
// be replaced by another definition or image, or because its restart was asked for. An app that is
// to be replaced is not timed out.
func (in Input) RunOver(asked map[string]bool) bool {
	want := in.ToRun()
	return want == nil || slices.ContainsFunc(want.Containers, func(c spec.Container) bool {
		s, ok := in.Observed.Container(c.Name)
		return ok && c.Role == spec.App && (asked[c.Name] || s.Digest != c.Digest || in.OtherImage(&c, s))
	})
}

// Running reports whether a container of the group runs.
func (in Input) Running() bool {
	return slices.ContainsFunc(in.Observed.Containers, func(s host.ContainerState) bool { return s.Task == host.TaskRunning })
}

// timedOut reports whether the job's run has taken as long as it may.
func (in Input) timedOut() bool { return !in.RunEnds.IsZero() && !in.RunEnds.After(in.Now) }

// timeoutText returns what the step that starts an app adds about the time of the job.
func timeoutText(s Step) string {
	if s.Want.Timeout == 0 || s.Targets[0].Role != spec.App {
		return ""
	}
	return ", the job ends " + s.Want.Timeout.String() + " after its first start"
}

func orNone(timeout time.Duration) string {
	if timeout == 0 {
		return "none"
	}
	return timeout.String()
}
