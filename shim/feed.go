package shim

import (
	"context"
	"fmt"
	"sync"
)

// An outcome is how a runner's look ended.
type Result struct {
	State  State
	Err    error // nil: the group is as it is wanted
	Failed Kind  // of the step that failed, where one that builds did
}

// A feed carries what runners do to a call that waits for them. Runners never block on it.
type Waiter struct {
	mu       sync.Mutex
	lines    []string
	outcomes map[string]Result
	ping     chan struct{} // holds one
}

func NewWaiter() *Waiter { return &Waiter{outcomes: map[string]Result{}, ping: make(chan struct{}, 1)} }

func (f *Waiter) line(group, format string, args ...any) {
	f.mu.Lock()
	f.lines = append(f.lines, group+": "+fmt.Sprintf(format, args...))
	f.mu.Unlock()
	f.wake()
}

func (f *Waiter) done(group string, o Result) {
	f.mu.Lock()
	f.outcomes[group] = o
	f.mu.Unlock()
	f.wake()
}

func (f *Waiter) wake() {
	select {
	case f.ping <- struct{}{}:
	default:
	}
}

// wait passes lines on until there are so many outcomes, ctx ends, or stopped is closed.
func (f *Waiter) Wait(ctx context.Context, n int, progress func(string), stopped <-chan struct{}) (map[string]Result, error) {
	for {
		f.mu.Lock()
		lines, have := f.lines, len(f.outcomes)
		f.lines = nil
		f.mu.Unlock()
		for _, l := range lines {
			progress(l)
		}
		if have >= n {
			return f.outcomes, nil
		}
		select {
		case <-f.ping:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-stopped:
			return nil, ErrStopping
		}
	}
}
