package shim

import "time"

// words are the last lines of a container's output, as they were after an end.
type output struct {
	after time.Time
	lines []string
}

// lastWords adds the last words of those whose last end was a failure, and who are down or have failed in a row. They are read once
// for each end.
func (r *Runner) addOutput(in PlanInput, containers []ContainerStatus) []ContainerStatus {
	if r.config.LastOutput == nil {
		return containers
	}
	for i := range containers {
		st := &containers[i]
		if st.ExitStatus == nil || *st.ExitStatus == 0 && in.History[st.Name].Condemned == "" || st.Task == TaskRunning && st.Row == 0 {
			continue
		}
		after := in.History[st.Name].EndedAt
		said, ok := r.output[st.Name]
		if !ok || !said.after.Equal(after) {
			if r.output == nil {
				r.output = map[string]output{}
			}
			said = output{after: after, lines: r.config.LastOutput(r.group, st.Name)}
			r.output[st.Name] = said
		}
		st.LastWords = said.lines
	}
	return containers
}
