package runner

import (
	"time"

	"github.com/sallyport/sallyport/shim/group"
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
		after := in.Records[st.Name].EndedAt
		last, ok := r.output[st.Name]
		if !ok || !last.after.Equal(after) {
			if r.output == nil {
				r.output = map[string]output{}
			}
			last = output{after: after, lines: r.config.LastOutput(r.group, st.Name)}
			r.output[st.Name] = last
		}
		st.LastOutput = last.lines
	}
	return containers
}
