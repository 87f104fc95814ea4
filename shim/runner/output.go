package runner

import (
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
)

// An output is the last lines that a container printed before an end.
type output struct {
	after time.Time
	lines []string
}

// addOutput adds the last output of containers whose last end was a failure and that are down or
// have failed in a row. It reads them once for each end.
func (r *Runner) addOutput(in plan.Input, containers []group.ContainerStatus) []group.ContainerStatus {
	if r.config.LastOutput == nil {
		return containers
	}
	defer r.progress.leave()()
	for i := range containers {
		st := &containers[i]
		if st.ExitStatus == nil || *st.ExitStatus == 0 && in.Records[st.Name].ProbeFailure == "" || st.Task == host.TaskRunning && st.EndsInARow == 0 {
			continue
		}
		record := in.Records[st.Name]
		after := record.EndedAt
		last, ok := r.output[st.Name]
		if !ok || !last.after.Equal(after) {
			if r.output == nil {
				r.output = map[string]output{}
			}
			since := record.CreatedAt // lines of an earlier run are not why this one failed
			if since.After(after) {
				since = time.Time{} // it has been started again
			}
			last = output{after: after, lines: r.config.LastOutput(r.group, st.Name, since)}
			r.output[st.Name] = last
		}
		st.LastOutput = last.lines
	}
	return containers
}

// passOnOutput passes on what the group's file asks for its containers' output. A failure, such as
// a full disk, keeps nothing from starting: the output has the defaults, or what was asked for
// before. It is tried again at the next look, and logged when it changes.
func (r *Runner) passOnOutput(d desired) {
	if r.config.WantOutput == nil || d.wanted == nil {
		return
	}
	defer r.progress.leave()()
	why := hint.Text(r.config.WantOutput(&d.wanted.Group))
	if why != "" && why != r.outputFailure {
		r.log.Warn("what the group's file asks for its output is not in force yet: "+why, "group", r.group)
	}
	r.outputFailure = why
}
