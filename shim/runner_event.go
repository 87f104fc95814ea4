package shim

import (
	"fmt"
	"strings"
)

// driftEvent returns the event of changes by others, and how often they were put back since the
// last such event. With an err they are not put back yet.
func driftEvent(group string, found []string, times int, err error) Event {
	text := strings.Join(found, "; ") + ": gone or changed by others, "
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

// recordState records a state that the group was not in before. err is what is wrong in it. The
// state gone is not recorded for a group that had no state before.
func (r *Runner) recordState(s State, err error) {
	if s != r.recordedState && !(s == Gone && r.recordedState == "") {
		r.recordedState = s
		r.record(stateEvent(r.group, s, errorText(err)))
	}
}

func (r *Runner) record(events ...Event) { r.config.Record(events...) }

// Record puts events into the journal, if there is one. A failure is logged and stops nothing.
func (c *RunnerConfig) Record(events ...Event) {
	if c.Journal == nil || len(events) == 0 {
		return
	}
	if err := c.Journal.Record(events...); err != nil {
		c.Log.Warn(err.Error(), "group", events[0].Group)
	}
}
