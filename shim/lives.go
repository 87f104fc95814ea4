package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// noted says that the life has something that the next keeper is to know.
func (l Life) noted() bool {
	return l.Ended || l.Taken || l.Condemned != "" || l.Restarts > 0 || l.Row > 0
}

// noted is what is written down of the history; never nil.
func (h History) noted() History {
	out := History{}
	for name, l := range h {
		if l.noted() {
			out[name] = l
		}
	}
	return out
}

// of returns the history of the containers that are wanted or there. With known false it is not known which are there, and
// the history stays as it is.
func (h History) of(want *spec.Group, states []ContainerState, known bool) History {
	out := maps.Clone(h)
	maps.DeleteFunc(out, func(name string, _ Life) bool {
		there := slices.ContainsFunc(states, func(s ContainerState) bool { return s.Name == name })
		return known && !there && (want == nil || want.Container(name) == nil)
	})
	return out
}

// resumed is what was written down as the history of a keeper that begins now. The clock may have been set since: no wait is longer
// than it was to be at first.
func (h History) resumed(now time.Time) History {
	out := maps.Clone(h)
	for name, l := range out {
		if !l.Next.IsZero() {
			l.Next = now.Add(min(max(l.Next.Sub(now), 0), backoff(l.Row, 1)))
			out[name] = l
		}
	}
	return out
}

// begun is the history of a group that begins from nothing: how often its containers have ended is still known, and nothing of
// what is there now has ended. The starts that follow are no restarts, but of those that are asked to be one.
func (h History) begun(asked map[string]bool) History {
	out := maps.Clone(h)
	for name, l := range out {
		if l.Made = (time.Time{}); !asked[name] {
			l = Life{Digest: l.Digest, Restarts: l.Restarts, Row: l.Row}
		}
		out[name] = l
	}
	return out
}

// begins says that the group is to be made from nothing, as after a boot: there are at most records of containers.
func (o Observed) begins() bool {
	return o.Net.Pinned == Absent && o.ContainersErr == nil &&
		!slices.ContainsFunc(o.Containers, func(s ContainerState) bool { return s.Task != TaskNone })
}

// recalled is what a look found, with the ends that containerd has forgotten: a restart of containerd 2 leaves of a task that has
// ended nothing but its container.
func (o Observed) recalled(h History) Observed {
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		s := &o.Containers[i]
		l := h[s.Name]
		if s.Task == TaskNone && l.Ended && l.ExitStatus != nil && l.Digest == s.Digest && l.of(*s) {
			s.Task, s.ExitStatus, s.ExitedAt, s.OOMKilled = TaskStopped, *l.ExitStatus, l.EndedAt, l.OOMKilled
		}
	}
	return o
}

// unclear are the containers of which only what was written down tells whether they have ended for good: those that may have and
// have no task, and those whose end, as it is seen, would be for good, and may be the keeper's doing. An init that is seen to have
// ended with 0 is taken at its word.
func (in PlanInput) unclear() (out []ContainerState) {
	want := in.toRun()
	if want == nil || in.Observed.begins() {
		return nil
	}
	for i := range want.Containers {
		c := &want.Containers[i]
		s, there := in.Observed.container(c.Name)
		if !there || in.outdated(c, s) {
			continue
		}
		stops := c.OnFailure == spec.FailureStopsGroup
		switch s.Task {
		case TaskNone, TaskUnknown:
			if c.Role == spec.Init || c.Restart.Policy != spec.RestartAlways || stops {
				out = append(out, s)
			}
		case TaskStopped:
			good := c.Role == spec.Init && s.ExitStatus == 0
			if !good && (!in.again(c, s) || stops && in.failed(s)) {
				out = append(out, s)
			}
		}
	}
	return out
}

// same says that there is no difference worth writing down.
func (l Life) same(m Life) bool {
	status := l.ExitStatus == m.ExitStatus || l.ExitStatus != nil && m.ExitStatus != nil && *l.ExitStatus == *m.ExitStatus
	times := l.Made.Equal(m.Made) && l.StartedAt.Equal(m.StartedAt) && l.EndedAt.Equal(m.EndedAt) && l.Next.Equal(m.Next)
	l.ExitStatus, l.Made, l.StartedAt, l.EndedAt, l.Next = m.ExitStatus, m.Made, m.StartedAt, m.EndedAt, m.Next
	return status && times && l == m
}

// Lives is what was written down of the lives of a group's containers. What nothing was written down of has an empty history.
func (s *Store) Lives(group string) (History, error) {
	h, err := readJSON[History](s.livesPath(group))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &Problem{
			Err:  fmt.Errorf("read how the containers of group %s have ended: %w", group, err),
			Hint: fmt.Sprintf("\"sallyport start %s\" starts what does not run, whatever is written there", group),
		}
	}
	return h, nil
}

// SetLives writes down what is to be known of the lives of a group's containers. Where it fails, what was written down before stays,
// unless it would mislead.
func (s *Store) SetLives(group string, h History) error {
	path := s.livesPath(group)
	noted := h.noted()
	if len(noted) == 0 {
		if err := s.drop(path); err != nil {
			return fmt.Errorf("forget how the containers of group %s have ended: %w", group, err)
		}
		return nil
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = s.writeJSON(path, noted)
	}
	if err == nil {
		return nil
	}
	if was, readErr := s.Lives(group); readErr != nil || h.beliedBy(was) {
		err = errors.Join(err, s.drop(path))
	}
	return fmt.Errorf("write down how the containers of group %s have ended: %w", group, err)
}

// beliedBy says that what was written down tells of a container that is still the one it tells of what is not so any more.
func (h History) beliedBy(was History) bool {
	for name, w := range was {
		l, ok := h[name]
		same := ok && l.Digest == w.Digest && (l.Made.IsZero() || l.Made.Equal(w.Made))
		if same && (w.Ended && !l.Ended || w.Taken && !l.Taken || w.Condemned != "" && l.Condemned == "") {
			return true
		}
	}
	return false
}

func (s *Store) livesPath(group string) string {
	return filepath.Join(s.layout.StateDir, "lives", group+".json")
}
