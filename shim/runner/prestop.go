package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// preStop runs the pre_stop of a container that is about to be stopped, and records an event of it.
// It returns how to stop the container: the time that the command took is no part of the grace any
// more. A command that fails, or that can't be run, stops nothing.
func (m Machine) preStop(ctx context.Context, name string, t plan.Target) spec.Stop {
	stop := t.Stop
	if m.exec == nil || stop.PreStop == nil {
		return stop
	}
	limit := stop.PreStopTime()
	began := m.now()
	output := hint.Tail{Most: hint.Long}
	status, err := m.exec.Exec(ctx, host.ExecRequest{
		Group: name, Container: t.Name, Args: stop.PreStop, Timeout: limit, Stopping: true, Stdout: &output, Stderr: &output,
	})
	took := max(m.now().Sub(began), 0)
	stop.Timeout -= min(took, limit)
	if ctx.Err() == nil {
		m.record(preStopEvent(name, t, status, took, hint.Excerpt(output.Text(), hint.Long), err))
	}
	return stop
}

func preStopEvent(name string, t plan.Target, status uint32, took time.Duration, output string, err error) group.Event {
	text := "pre_stop " + hint.Excerpt(strings.Join(t.Stop.PreStop, " "), hint.Short)
	e := group.Event{Group: name, Container: t.Name, Kind: group.EventPreStop}
	switch {
	case errors.Is(err, host.ErrTimedOut):
		text += fmt.Sprintf(" did not end within %s, and was killed", t.Stop.PreStopTime())
	case err != nil:
		text += " could not be run: " + hint.OneLine(err.Error())
	default:
		text += fmt.Sprintf(" ended with %s after %s", group.Exit{Status: status}, took.Round(time.Millisecond))
		e.ExitStatus = &status
	}
	if output != "" {
		text += ": " + output
	}
	e.Text = text
	return e
}
