package hostfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"
)

// maxStuck limits the calls that were given up and have not returned. Each of them holds a thread.
const maxStuck = 16

// system is the gate of all calls of this process.
var system = gate{patience: 10 * time.Second}

// A gate gives up calls that hang. A dead network mount lets a call hang for hours.
type gate struct {
	patience time.Duration

	mu    sync.Mutex
	stuck map[string]int // by folder: calls that were given up and have not returned
}

// bounded returns the result of call, or an error when ctx or the gate's patience ends before it
// does. If a call for the same folder hangs already, the error comes at once. drop, which may be
// nil, gets a result that comes too late. Errors are [fs.PathError] of that operation and path.
func bounded[T any](ctx context.Context, g *gate, folder, op, path string, call func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if ctx.Err() != nil {
		return none, pathError(op, path, context.Cause(ctx))
	}
	if err := g.enter(folder); err != nil {
		return none, pathError(op, path, err)
	}
	var given struct {
		sync.Mutex
		up bool
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		given.Lock()
		defer given.Unlock()
		if !given.up {
			done <- result{value, err}
			return
		}
		if err == nil && drop != nil {
			drop(value)
		}
		g.back(folder)
	}()
	giveUp := func() (T, error) {
		given.Lock()
		defer given.Unlock()
		select {
		case r := <-done: // at the last moment
			return r.value, r.err
		default:
		}
		given.up = true
		g.giveUp(folder)
		return none, fmt.Errorf("the file system gave no answer for %v: check the mount that holds it", g.patience)
	}
	timer := time.NewTimer(g.patience)
	select {
	case r := <-done:
		timer.Stop()
		return r.value, pathError(op, path, r.err)
	case <-timer.C:
		value, err := giveUp()
		return value, pathError(op, path, err)
	case <-ctx.Done(): // which does not mean that the call hangs
	}
	go func() {
		defer timer.Stop()
		var r result
		select {
		case r = <-done:
		case <-timer.C:
			r.value, r.err = giveUp()
		}
		if r.err == nil && drop != nil {
			drop(r.value)
		}
	}()
	return none, pathError(op, path, context.Cause(ctx))
}

// enter returns an error if a call for the folder would hang, or if too many calls hang.
func (g *gate) enter(folder string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stuck[folder] > 0 {
		return fmt.Errorf("the file system gives no answer in %s: check the mount that holds it", folder)
	}
	all := 0
	for _, n := range g.stuck {
		all += n
	}
	if all >= maxStuck {
		return fmt.Errorf("%d other reads get no answer from their file systems: check the mounts, such as that of %s", all, g.first())
	}
	return nil
}

// first returns the first of the folders with calls that hang. The caller holds mu.
func (g *gate) first() string {
	var all []string
	for folder := range g.stuck {
		all = append(all, folder)
	}
	return slices.Min(all)
}

func (g *gate) giveUp(folder string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stuck == nil {
		g.stuck = map[string]int{}
	}
	g.stuck[folder]++
}

func (g *gate) back(folder string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stuck[folder]--; g.stuck[folder] == 0 {
		delete(g.stuck, folder)
	}
}

// pathError returns err as a [fs.PathError] of the operation and the path. It returns nil for nil.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
