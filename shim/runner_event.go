package shim

import (
	"fmt"
	"strings"
)

// driftEvent tells of what others changed, and how often it was put back since it was last told of. With an err it is not yet.
func driftEvent(group string, found []string, times int, err error) Event {
	text := strings.Join(found, "; ") + ": gone or changed by somebody else, "
	switch {
	case err != nil:
		text += "not yet put back: " + err.Error()
	case times == 1:
		text += "put back"
	default:
		text += fmt.Sprintf("put back %d times", times)
	}
	return Event{Group: group, Kind: EventDrift, Text: text}
}

func stateEvent(group string, s State, err string) Event {
	text := string(s)
	if err != "" {
		text += ": " + err
	}
	return Event{Group: group, Kind: EventState, State: s, Text: text}
}

func restartedEvent(group, container string, l Life) Event {
	x := Exit{Status: *l.ExitStatus, OOMKilled: l.OOMKilled, Condemned: l.Condemned}
	return Event{
		Group: group, Container: container, Kind: EventRestarted, ExitStatus: l.ExitStatus,
		Text: fmt.Sprintf("ended with %s, started again", x),
	}
}

// enter records a state that the group was not in before. err is what is wrong in it. That it is gone is no news of one that never
// was.
func (r *Runner) recordState(s State, err error) {
	if s != r.recordedState && !(s == Gone && r.recordedState == "") {
		r.recordedState = s
		r.record(stateEvent(r.group, s, errorText(err)))
	}
}

func (r *Runner) record(events ...Event) { r.config.Record(events...) }

// record puts events into the journal, where there is one. That it can't be written stops nothing.
func (c *RunnerConfig) Record(events ...Event) {
	if c.Journal == nil || len(events) == 0 {
		return
	}
	if err := c.Journal.Record(events...); err != nil {
		c.Log.Warn(err.Error(), "group", events[0].Group)
	}
}
