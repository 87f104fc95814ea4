package shim

import "time"

// words are the last lines of a container's output, as they were after an end.
type words struct {
	after time.Time
	lines []string
}

// lastOutput adds the last output of the containers whose last end was a failure, if they are down
// or have failed in a row. It is read once for each end.
func (r *runner) lastOutput(in PlanInput, containers []ContainerStatus) []ContainerStatus {
	if r.config.LastOutput == nil {
		return containers
	}
	for i := range containers {
		st := &containers[i]
		if st.ExitStatus == nil || *st.ExitStatus == 0 && in.History[st.Name].Condemned == "" || st.Task == TaskRunning && st.Row == 0 {
			continue
		}
		after := in.History[st.Name].EndedAt
		said, ok := r.words[st.Name]
		if !ok || !said.after.Equal(after) {
			if r.words == nil {
				r.words = map[string]words{}
			}
			said = words{after: after, lines: r.config.LastOutput(r.group, st.Name)}
			r.words[st.Name] = said
		}
		st.LastOutput = said.lines
	}
	return containers
}
