package group

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An Ended records how a group has ended by itself. It is saved before the group is taken down, so
// that neither a boot nor another daemon runs it again. It holds for its generation alone, and
// until the group is started again.
type Ended struct {
	Generation int    `json:"generation"`
	State      State  `json:"state"`        // Completed: its apps have ended. Stopped: a failure or its timeout stopped it
	By         string `json:"by,omitempty"` // Stopped: the container that failed
	// Bound is the soft bound on disk that was passed. Nil means that none was.
	Bound *host.Bound `json:"bound,omitempty"`
	// Timeout is how long the job's run could take, if its time was over. Zero means that it was
	// not.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Lost is why the app of a run can't go on and does not run again, on one line. Empty means
	// that it was not lost.
	Lost  string          `json:"lost,omitempty"`
	At    time.Time       `json:"at"`
	Exits map[string]Exit `json:"exits"` // by container, for those that ended by themselves
}

// An Exit records how one container has ended.
type Exit struct {
	Status    uint32 `json:"status"`
	OOMKilled bool   `json:"oom_killed,omitempty"`
	// ProbeFailure is the failure of its probes that it was stopped for, or why it might not go on.
	// Empty means that there was neither.
	ProbeFailure string `json:"condemned,omitempty"`
}

// Problem returns the failure that the group has ended with. It is nil if the group ended well.
func (e *Ended) Problem(g *spec.Group) error {
	if e.Bound != nil {
		return e.passed(g.Name)
	}
	if e.Timeout != 0 {
		return &hint.Error{
			Err:  fmt.Errorf("%w after %s", ErrTimedOut, e.Timeout),
			Hint: fmt.Sprintf("\"sallyport start %s\" runs it again; to allow more, raise its timeout", g.Name),
		}
	}
	if e.Lost != "" {
		return &hint.Error{Err: errors.New(e.Lost), Hint: "a run does not run twice; run it again if that does no harm"}
	}
	for i := range g.Containers {
		c := &g.Containers[i]
		x, ok := e.Exits[c.Name]
		if !ok || x.Status == 0 && x.ProbeFailure == "" || c.OnFailure == spec.FailureIgnored {
			continue
		}
		switch {
		case e.By == c.Name:
			return &hint.Error{
				Err:  fmt.Errorf("%s ended with %s, and its on_failure stops the group", c.Title(), x),
				Hint: fmt.Sprintf("see \"sallyport logs %s.%s\"; \"sallyport start %s\" starts the group again", g.Name, c.Name, g.Name),
			}
		case e.By == "" && c.Role == spec.App:
			return &hint.Error{
				Err:  fmt.Errorf("%s ended with %s", c.Title(), x),
				Hint: fmt.Sprintf("see \"sallyport logs %s.%s\"; \"sallyport start %s\" runs the group again", g.Name, c.Name, g.Name),
			}
		}
	}
	return nil
}

// passed returns the error of a group that has passed a soft bound.
func (e *Ended) passed(group string) error {
	again := fmt.Sprintf("make room in %s or raise its size. Then \"sallyport start %s\" starts the group again", e.Bound.Path, group)
	if e.Bound.Container != "" {
		again = fmt.Sprintf("\"sallyport start %s\" starts the group again, without what its containers had written outside of volumes; to allow more, raise disk in the resources of %s", group, e.Bound.Container)
	}
	return &hint.Error{Err: errors.New(e.Bound.PassedText()), Hint: again}
}

// UnchangedText explains why an apply without a change does not run the group again.
func (e *Ended) UnchangedText(g *spec.Group) string {
	text := "it has completed"
	if e.State == Stopped {
		text = "a failure has stopped it"
	}
	if e.Bound != nil {
		text = "a bound on disk has stopped it"
	}
	if e.Timeout != 0 {
		text = "its time was over"
	}
	if err := e.Problem(g); err != nil {
		text += ", " + err.Error()
	}
	return fmt.Sprintf("%s; an unchanged file doesn't run it again, \"sallyport start %s\" does", text, g.Name)
}

// String returns the end in an operator's words: "status 137 (SIGKILL, out of memory)".
func (x Exit) String() string {
	text := exitText(x.Status, x.OOMKilled)
	if x.ProbeFailure != "" {
		text += ", stopped because " + x.ProbeFailure
	}
	return text
}

func exitText(status uint32, oom bool) string {
	name := signalName(status)
	switch {
	case name != "" && oom:
		return fmt.Sprintf("status %d (%s, out of memory)", status, name)
	case name != "":
		return fmt.Sprintf("status %d (%s)", status, name)
	case oom:
		return fmt.Sprintf("status %d (out of memory)", status)
	default:
		return fmt.Sprintf("status %d", status)
	}
}

// signalName returns the signal that an exit status stands for, as in a shell: "SIGKILL" for 137.
// It is empty if there is none. A program may also return such a status by itself.
func signalName(status uint32) string {
	if status <= 128 || status > 128+64 {
		return ""
	}
	return unix.SignalName(unix.Signal(status - 128))
}
