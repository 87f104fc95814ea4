package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/api"
)

// followPatience is how long a line of one group waits for those of others while they are followed,
// since they may have an earlier one. It is the most by which two lines may be out of order.
const followPatience = 250 * time.Millisecond

// A logCopier is the daemon's output, as *api.Client has it.
type logCopier interface {
	Logs(ctx context.Context, req api.LogRequest, emit func(api.LogLine) error) error
}

// copyLogs calls emit with the lines of all requests, one call at a time. The lines of one group
// come in the daemon's order. Those of several are merged by their times.
func copyLogs(ctx context.Context, client logCopier, requests []api.LogRequest, emit func(group string, l api.LogLine) error) error {
	if len(requests) == 1 {
		return client.Logs(ctx, requests[0], func(l api.LogLine) error { return emit(requests[0].Group, l) })
	}
	g, reading := errgroup.WithContext(ctx)
	m := logMerge{arrived: make(chan arrival), patience: -1}
	for i, req := range requests {
		if req.Follow {
			m.patience = followPatience
		}
		taken := make(chan struct{})
		m.groups = append(m.groups, mergedGroup{name: req.Group, open: true, last: time.Now(), taken: taken})
		g.Go(func() error {
			err := client.Logs(reading, req, func(l api.LogLine) error {
				if err := m.send(reading, arrival{i, &l}); err != nil {
					return err
				}
				select {
				case <-taken:
					return nil
				case <-reading.Done():
					return reading.Err()
				}
			})
			if err != nil {
				return err
			}
			return m.send(reading, arrival{i, nil})
		})
	}
	g.Go(func() error { return m.run(reading, emit) })
	err := g.Wait()
	if ctx.Err() != nil && requests[0].Follow {
		return nil
	}
	return err
}

// An arrival is the next line of a group, or nil at its end.
type arrival struct {
	group int
	line  *api.LogLine
}

// A logMerge orders the lines of several groups. It holds one line of each.
type logMerge struct {
	arrived  chan arrival
	groups   []mergedGroup
	patience time.Duration // with a group that sends no line; negative: for ever
}

type mergedGroup struct {
	name  string
	open  bool
	head  *api.LogLine
	at    time.Time     // of the last line whose time is known
	since time.Time     // when head came
	last  time.Time     // when it last had a line
	taken chan struct{} // gets a value when head was printed
}

func (m *logMerge) send(ctx context.Context, a arrival) error {
	select {
	case m.arrived <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *logMerge) run(ctx context.Context, emit func(group string, l api.LogLine) error) error {
	for {
		first, open, wait := m.next(time.Now())
		if first >= 0 && wait == 0 {
			g := &m.groups[first]
			if err := emit(g.name, *g.head); err != nil {
				return err
			}
			g.head, g.last = nil, time.Now()
			select {
			case g.taken <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if first < 0 && !open {
			return nil
		}
		var timeout <-chan time.Time // nil: wait for a line
		if first >= 0 && wait > 0 {
			timeout = time.After(wait)
		}
		select {
		case a := <-m.arrived:
			g := &m.groups[a.group]
			g.head, g.open, g.since = a.line, a.line != nil, time.Now()
			if g.open && !a.line.Time.IsZero() && !a.line.Latest {
				g.at = a.line.Time
			}
		case <-timeout:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next returns the group with the earliest line, or -1, and whether a group may have more. wait is
// how long to wait for the others before that line is printed: 0 means not at all, and a negative
// one until they have a line.
func (m *logMerge) next(now time.Time) (first int, open bool, wait time.Duration) {
	first = -1
	for i := range m.groups {
		g := &m.groups[i]
		open = open || g.open
		if g.head != nil {
			if first < 0 || g.at.Before(m.groups[first].at) {
				first = i
			}
			continue
		}
		switch left := m.patience - now.Sub(g.last); {
		case !g.open, wait < 0:
		case m.patience < 0:
			wait = -1
		case left > 0:
			wait = max(wait, left)
		}
	}
	if first >= 0 && m.patience >= 0 { // a line that has waited waits no more for one that is printed now
		wait = min(wait, max(0, m.patience-now.Sub(m.groups[first].since)))
	}
	return first, open, wait
}
