package shim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
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

var (
	ErrStopping = errors.New("the daemon is stopping")
)

// spoil makes a failure of what those who follow by now are told at the end, whatever that is.
func (r *Runner) FailWaiters(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.followers {
		r.followers[i].spoilt = why
	}
}

// A follower is told how the first look ends that began with seq or a later one.
type follower struct {
	feed   *Waiter
	seq    int
	since  time.Time
	waits  string // what it was last told that the group waits for
	spoilt error  // not nil: what was asked for failed, and this tells how, whatever the look finds
}

// requested needs mu.
func (r *Runner) requested(f *Waiter) {
	r.seq++
	if f != nil {
		r.followers = append(r.followers, follower{feed: f, seq: r.seq, since: r.config.Now()})
	}
	r.Wake(WakeWanted)
}

// tell passes a line to whoever follows the look of seq.
func (r *Runner) tell(seq int, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.followers {
		if f.seq <= seq {
			f.feed.line(r.group, format, args...)
		}
	}
}

// finish ends the waiting of whoever followed the look of seq.
func (r *Runner) finish(seq int, o Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []follower
	for _, f := range r.followers {
		if f.seq > seq {
			rest = append(rest, f)
			continue
		}
		if f.spoilt != nil {
			o = Result{State: o.State, Err: f.spoilt}
		}
		f.feed.done(r.group, o)
	}
	r.followers = rest
}
