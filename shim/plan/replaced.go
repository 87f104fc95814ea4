package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// Replaced returns a line for each container that exists and is replaced by the plan, with why.
func Replaced(in Input) (lines []string) {
	if in.ToRun() == nil {
		return nil
	}
	for _, c := range in.containers().wanted {
		if c.action == actionReplace {
			lines = append(lines, c.Title()+": "+in.whyReplaced(c))
		}
	}
	return lines
}

// RunsOn reports whether a container runs and goes on as it is, and since when it runs. The time is
// zero if it is not known.
func RunsOn(in Input, name string) (since time.Time, ok bool) {
	if in.ToRun() == nil {
		return time.Time{}, false
	}
	for _, c := range in.containers().wanted {
		if c.Name == name && c.action == actionKeep && c.state.Task == host.TaskRunning {
			return c.state.StartedAt, true
		}
	}
	return time.Time{}, false
}

// LiveChanges returns a line for the group's timeout if that changes, and one for each container
// that takes a change of its definition while it runs, with what changes. What passes the group's
// border is not among it.
func LiveChanges(in Input) (lines []string) {
	if in.ToRun() == nil || in.Previous == nil {
		return nil
	}
	if now, was := in.Want.Timeout, in.Previous.Timeout; now != was {
		lines = append(lines, fmt.Sprintf("the group: timeout (%s, and was %s)", orNone(now), orNone(was)))
	}
	for _, c := range in.containers().wanted {
		if c.action == actionReplace || c.action == actionCreate {
			continue
		}
		words := in.Want.LiveChanges(in.Previous, c.Name)
		if c.action == actionReload {
			for _, f := range c.NotLoaded(c.state.Loaded) {
				words = append(words, fmt.Sprintf("file %s (%s)", f.Path, f.Reload))
			}
		}
		if len(words) > 0 {
			lines = append(lines, c.Title()+": "+strings.Join(words, ", "))
		}
	}
	return lines
}

// whyReplaced returns what differs from the container that is there.
func (in Input) whyReplaced(c *containerPlan) string {
	switch {
	case in.Restart[c.Name]:
		return "it is restarted"
	case c.state.Digest != c.Digest:
		return in.definitionChanged(c)
	case in.OtherImage(c.Container, c.state):
		return "its image has another digest"
	case c.state.Task != host.TaskRunning && c.state.Loaded != c.Loaded():
		return "changed: file"
	case in.secretsReplace(c.Container, c.state) && len(in.untold(c.Container)) > 0:
		return "changed: " + named("secret", in.untold(c.Container))
	case in.secretsReplace(c.Container, c.state):
		return "its secrets are not those that are held"
	case c.state.Task == host.TaskStopped:
		return "its replacement was interrupted"
	default:
		return "its namespace is lost"
	}
}

// definitionChanged names the parts that have changed, if the definition of the container that is
// there is known.
func (in Input) definitionChanged(c *containerPlan) string {
	if in.Previous != nil {
		if was := in.Previous.Container(c.Name); was != nil && was.Digest == c.state.Digest {
			if words := in.Want.Changes(in.Previous, c.Name); len(words) > 0 {
				return "changed: " + strings.Join(words, ", ")
			}
		}
	}
	return fmt.Sprintf("its definition is not that of generation %d, which it was made from", c.state.Generation)
}
