package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
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

// A Waiter passes progress and results from runners to a call that waits for them. A runner never
// blocks on it.
type Waiter struct {
	mu        sync.Mutex
	lines     []string
	transfers []host.Transfer // the last one of each image
	results   map[string]Result
	wake      chan struct{} // holds one
}

func NewWaiter() *Waiter { return &Waiter{results: map[string]Result{}, wake: make(chan struct{}, 1)} }

func (w *Waiter) addLine(group, format string, args ...any) {
	w.mu.Lock()
	w.lines = append(w.lines, group+": "+fmt.Sprintf(format, args...))
	w.mu.Unlock()
	w.signal()
}

func (w *Waiter) addTransfer(t host.Transfer) {
	w.mu.Lock()
	w.transfers = slices.DeleteFunc(w.transfers, func(u host.Transfer) bool { return u.Image == t.Image })
	w.transfers = append(w.transfers, t)
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

// Wait passes lines to progress, and transfers to the function given to [host.WithTransfers], until
// there are n results, ctx ends, or stopped is closed. It returns the results by group.
func (w *Waiter) Wait(ctx context.Context, n int, progress func(string), stopped <-chan struct{}) (map[string]Result, error) {
	for {
		w.mu.Lock()
		lines, transfers, have := w.lines, w.transfers, len(w.results)
		w.lines, w.transfers = nil, nil
		w.mu.Unlock()
		if report := host.Transfers(ctx); report != nil {
			for _, t := range transfers {
				report(t)
			}
		}
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
