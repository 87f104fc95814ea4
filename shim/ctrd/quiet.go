package ctrd

import (
	"context"
	"sync"
	"time"
)

const (
	// answersFor is how long an answer of containerd counts for all groups.
	answersFor = 20 * time.Second
	// answersWithin is how long it has for one.
	answersWithin = 2 * time.Second
	// subscribedWithin is how long containerd may take to begin to send events. What happens
	// meanwhile is not reported.
	subscribedWithin = 5 * time.Second
)

// Quiet reports whether the containers of a group run on as they were at an observation that began
// at since: their processes live, and containerd answers and has reported events all the time. It
// asks /proc, and containerd once for all groups. Containers that don't run make it false, as does
// a shim that was not asked for 5 minutes.
func (c *Client) Quiet(group string, since time.Time) bool {
	return c.running.all(group, time.Now()) && c.events.reportedSince(since.Add(-subscribedWithin)) && c.answers.recently(c.answersNow)
}

// all reports whether a group has tasks that were found to run, and all of them still do.
func (r *runningTasks) all(group string, now time.Time) bool {
	r.mu.Lock()
	ids := make([]string, 0, len(r.byGroup[group]))
	for id := range r.byGroup[group] {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		if _, ok := r.find(group, id, now); !ok {
			return false
		}
	}
	return len(ids) > 0
}

// An eventStream has since when containerd reports events.
type eventStream struct {
	mu    sync.Mutex
	begun time.Time // zero: it does not
}

func (s *eventStream) set(begun time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = begun
}

func (s *eventStream) reportedSince(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.begun.IsZero() && s.begun.Before(t)
}

// An answered has whether containerd answered when it was last asked.
type answered struct {
	mu sync.Mutex
	at time.Time
	ok bool
}

// recently returns the last answer, or asks for one.
func (a *answered) recently(ask func() bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.at) >= answersFor {
		a.ok = ask()
		a.at = time.Now() // also after a failure: many groups ask
	}
	return a.ok
}

func (c *Client) answersNow() bool {
	ctx, cancel := c.ctx(context.Background(), answersWithin)
	defer cancel()
	_, err := c.client.Version(ctx)
	return err == nil
}
