package runner

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
)

// driftEvent returns the event of changes by others. times is how often they were put back since
// the last such event. An err means that they are not put back yet.
func driftEvent(name string, found []string, times int, err error) group.Event {
	text := strings.Join(found, "; ") + ": gone or changed by others, "
	switch {
	case err != nil:
		text += "not yet put back: " + err.Error()
	case times == 1:
		text += "put back"
	default:
		text += fmt.Sprintf("put back %d times", times)
	}
	return group.Event{Group: name, Kind: group.EventDrift, Text: text}
}

func stateEvent(name string, s group.State, err string) group.Event {
	text := string(s)
	if err != "" {
		text += ": " + err
	}
	return group.Event{Group: name, Kind: group.EventState, State: s, Text: text}
}

func restartedEvent(name, container string, last restart.Record) group.Event {
	x := group.Exit{Status: *last.ExitStatus, OOMKilled: last.OOMKilled, ProbeFailure: last.ProbeFailure}
	return group.Event{
		Group: name, Container: container, Kind: group.EventRestarted, ExitStatus: last.ExitStatus,
		Text: fmt.Sprintf("ended with %s, started again", x),
	}
}

// lostEvent returns the event of a container that was started again and whose end was not seen.
func lostEvent(name, container string) group.Event {
	return group.Event{
		Group: name, Container: container, Kind: group.EventRestarted,
		Text: "its processes are gone and left no exit status: its shim has ended, or was killed; started again",
	}
}

// reloadedEvent returns the event of a container whose files were changed while it ran.
func reloadedEvent(name string, t plan.Target) group.Event {
	return group.Event{Group: name, Container: t.Name, Kind: group.EventReloaded, Text: "reloaded by " + t.ReloadText()}
}

// recordState records a state if the group was not in it before. err is the problem in it. The
// state gone is not recorded for a group that had no state before.
func (r *Runner) recordState(s group.State, err error) {
	if s != r.recordedState && !(s == group.Gone && r.recordedState == "") {
		r.recordedState = s
		r.record(stateEvent(r.group, s, hint.Text(err)))
	}
}

func (r *Runner) record(events ...group.Event) { r.config.Record(events...) }

// Record puts events into the journal, if there is one. A failure is logged and stops nothing: the
// events are lost.
func (c *Config) Record(events ...group.Event) {
	if c.Journal == nil || len(events) == 0 {
		return
	}
	if err := c.Journal.Record(events...); err != nil {
		c.Log.Warn(err.Error(), "group", events[0].Group)
		if c.Lost != nil {
			c.Lost(len(events))
		}
	}
}
