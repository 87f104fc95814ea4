package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/plan"
)

// ErrStopping is the error of a call that waits while the daemon ends.
var ErrStopping = errors.New("the daemon is stopping")

// A Result is how a reconciliation ended.
type Result struct {
	State  group.State
	Err    error     // nil: the group is as wanted
	Failed plan.Kind // the kind of the failed step, if it was one that builds; else empty
}

// A Waiter passes progress and results from runners to a call that waits for them. Runners never
// block on it.
type Waiter struct {
	mu      sync.Mutex
	lines   []string
	results map[string]Result
	wake    chan struct{} // holds one
}

func NewWaiter() *Waiter { return &Waiter{results: map[string]Result{}, wake: make(chan struct{}, 1)} }

func (w *Waiter) addLine(group, format string, args ...any) {
	w.mu.Lock()
	w.lines = append(w.lines, group+": "+fmt.Sprintf(format, args...))
	w.mu.Unlock()
	w.signal()
}

func (w *Waiter) addResult(group string, o Result) {
	w.mu.Lock()
	w.results[group] = o
	w.mu.Unlock()
	w.signal()
}

func (w *Waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Wait passes lines on until there are n results, ctx ends, or stopped is closed.
func (w *Waiter) Wait(ctx context.Context, n int, progress func(string), stopped <-chan struct{}) (map[string]Result, error) {
	for {
		w.mu.Lock()
		lines, have := w.lines, len(w.results)
		w.lines = nil
		w.mu.Unlock()
		for _, l := range lines {
			progress(l)
		}
		if have >= n {
			return w.results, nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-stopped:
			return nil, ErrStopping
		}
	}
}

// FailWaiters makes all present requests fail, independently of what reconciliation finds.
func (r *Runner) FailWaiters(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.requests {
		r.requests[i].failure = why
	}
}

// A request waits for the result of the first reconciliation that began with seq or later.
type request struct {
	waiter      *Waiter
	seq         int
	since       time.Time
	lastWaiting string // the last line it got about what the group waits for
	failure     error  // not nil: the request fails for this reason
}

// addRequest needs mu.
func (r *Runner) addRequest(waiter *Waiter) {
	r.seq++
	if waiter != nil {
		r.requests = append(r.requests, request{waiter: waiter, seq: r.seq, since: r.config.Now()})
	}
	r.Wake(WakeWanted)
}

// report passes a line to the requests up to seq.
func (r *Runner) report(seq int, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.requests {
		if q.seq <= seq {
			q.waiter.addLine(r.group, format, args...)
		}
	}
}

// finish ends the requests up to seq.
func (r *Runner) finish(seq int, o Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []request
	for _, q := range r.requests {
		if q.seq > seq {
			rest = append(rest, q)
			continue
		}
		own := o
		if q.failure != nil {
			own = Result{State: o.State, Err: q.failure}
		}
		q.waiter.addResult(r.group, own)
	}
	r.requests = rest
}
