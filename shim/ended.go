package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// An Ended is how a group has ended of its own accord. It is written down before the group is taken down, so that no boot and
// no other daemon runs it again, and it holds for its generation alone, until the group is started again.
type Ended struct {
	Generation int             `json:"generation"`
	State      State           `json:"state"`        // Completed: its apps have ended for good. Stopped: a failure has stopped it
	By         string          `json:"by,omitempty"` // Stopped: the container that failed
	At         time.Time       `json:"at"`
	Exits      map[string]Exit `json:"exits"` // by container, of those that had ended by themselves
}

// An Exit is how one container has ended.
type Exit struct {
	Status    uint32 `json:"status"`
	OOMKilled bool   `json:"oom_killed,omitempty"`
	Condemned string `json:"condemned,omitempty"` // what its probes said, where that is why it was stopped
}

// ending is how the group ends with what is seen; nil: it goes on.
func (in PlanInput) ending() *Ended {
	want := in.toRun()
	if want == nil || in.EndedErr != nil || in.Observed.unsure() {
		return nil
	}
	e := Ended{State: Completed, At: in.Now, Exits: map[string]Exit{}}
	apps, done := 0, 0
	for i := range want.Containers {
		c := &want.Containers[i]
		s, _ := in.Observed.container(c.Name)
		ended := s.Task == TaskStopped && !in.outdated(c, s)
		if ended {
			e.Exits[c.Name] = in.exitOf(s)
		}
		if ended && in.failed(s) && c.OnFailure == spec.FailureStopsGroup && e.By == "" {
			e.State, e.By = Stopped, c.Name
		}
		if c.Role == spec.App {
			apps++
			if in.finished(c, s) {
				done++
			}
		}
	}
	if e.By == "" && (apps == 0 || done < apps) {
		return nil
	}
	return &e
}

// complaint is what is wrong with how the group has ended; nil: nothing.
func (e *Ended) complaint(g *spec.Group) error {
	for i := range g.Containers {
		c := &g.Containers[i]
		x, ok := e.Exits[c.Name]
		if !ok || x.Status == 0 && x.Condemned == "" || c.OnFailure == spec.FailureIgnored {
			continue
		}
		switch {
		case e.By == c.Name:
			return &Problem{
				Err:  fmt.Errorf("%s ended with %s, and its on_failure stops the group", c.Title(), x),
				Hint: fmt.Sprintf("see \"sallyport logs %s.%s\"; \"sallyport start %s\" starts the group again", g.Name, c.Name, g.Name),
			}
		case e.By == "" && c.Role == spec.App:
			return &Problem{
				Err:  fmt.Errorf("%s ended with %s", c.Title(), x),
				Hint: fmt.Sprintf("see \"sallyport logs %s.%s\"; \"sallyport start %s\" runs the group again", g.Name, c.Name, g.Name),
			}
		}
	}
	return nil
}

// unchanged is what is said of a group that has ended and is applied as it is.
func (e *Ended) unchanged(g *spec.Group) string {
	text := "it has completed"
	if e.State == Stopped {
		text = "a failure has stopped it"
	}
	if err := e.complaint(g); err != nil {
		text += ", " + err.Error()
	}
	return fmt.Sprintf("%s; an unchanged file doesn't run it again, \"sallyport start %s\" does", text, g.Name)
}

// String is the end in an operator's words: "status 137 (SIGKILL, out of memory)".
func (x Exit) String() string {
	text := exitText(x.Status, x.OOMKilled)
	if x.Condemned != "" {
		text += ", stopped because " + x.Condemned
	}
	return text
}

// Ended is how the group's generation has ended of its own accord; nil: it has not.
func (s *Store) Ended(group string, generation int) (*Ended, error) {
	e, err := readJSON[Ended](s.endedPath(group))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &Problem{
			Err:  fmt.Errorf("read whether group %s has ended: %w", group, err),
			Hint: fmt.Sprintf("\"sallyport start %s\" starts it, whatever is written there", group),
		}
	case e.Generation != generation:
		return nil, nil
	}
	return &e, nil
}

// SetEnded writes down how the group has ended; nil: it has not.
func (s *Store) SetEnded(group string, e *Ended) error {
	if e == nil {
		if err := s.drop(s.endedPath(group)); err != nil {
			return fmt.Errorf("forget how group %s has ended: %w", group, err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.endedPath(group)), 0o700); err != nil {
		return fmt.Errorf("write down how group %s has ended: %w", group, err)
	}
	if err := s.writeJSON(s.endedPath(group), e); err != nil {
		return fmt.Errorf("write down how group %s has ended: %w", group, err)
	}
	return nil
}

func (s *Store) endedPath(group string) string {
	return filepath.Join(s.layout.StateDir, "ended", group+".json")
}
