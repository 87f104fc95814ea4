package shim

import "time"

// words are the last lines of a container's output, as they were after an end.
type words struct {
	after time.Time
	lines []string
}

// lastWords adds the last words of those whose last end was a failure, and who are down or have failed in a row. They are read once
// for each end.
func (r *Runner) lastWords(in PlanInput, containers []ContainerStatus) []ContainerStatus {
	if r.config.LastWords == nil {
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
			said = words{after: after, lines: r.config.LastWords(r.group, st.Name)}
			r.words[st.Name] = said
		}
		st.LastWords = said.lines
	}
	return containers
}
