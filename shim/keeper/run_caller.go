package keeper

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// A RunCaller is one who stays with a run. It is not safe for concurrent use, but for Signal.
type RunCaller struct {
	keeper *Keeper
	run    *run
	seen   int // lines of progress
	leave  func()
}

// JoinRun adds a caller to a run, also to one that is over. The caller ends it with Leave. The
// error is ErrNoRun.
func (k *Keeper) JoinRun(ctx context.Context, id string) (*RunCaller, error) {
	r, err := k.runOf(ctx, id)
	if err != nil {
		return nil, err
	}
	r.join()
	return &RunCaller{keeper: k, run: r, leave: sync.OnceFunc(func() { r.leave(k.config.RunGrace) })}, nil
}

// Leave takes the caller away. A second call does nothing.
func (c *RunCaller) Leave() { c.leave() }

// Watch returns the run, the lines of progress since the last call, and a channel that is closed
// when there is something new.
func (c *RunCaller) Watch() (now group.Run, lines []string, changed <-chan struct{}) {
	r := c.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	from := max(c.seen-r.earlier, 0)
	lines = append(lines, r.lines[from:]...)
	c.seen = r.earlier + len(r.lines)
	return r.now, lines, r.changed
}

// Over returns a channel that is closed when the result is known. By then, all output is written.
func (c *RunCaller) Over() <-chan struct{} { return c.run.over }

// Started returns a channel that is closed when the app starts.
func (c *RunCaller) Started() <-chan struct{} { return c.run.started }

// Signal passes a signal on to the app. Before the app has started, one that ends programs ends the
// run.
func (c *RunCaller) Signal(ctx context.Context, signal syscall.Signal) error {
	r := c.run
	switch {
	case closed(r.over):
		return nil
	case !closed(r.started):
		switch signal {
		case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGKILL:
			r.end(&hint.Error{Err: fmt.Errorf("its caller ended it (%s) before its app ran", signal)})
		}
		return nil
	case c.keeper.config.Processes == nil:
		return nil
	}
	dropped, err := c.keeper.config.Processes.Signal(ctx, r.id, r.app, signal)
	if dropped {
		r.addLine(fmt.Sprintf("%s: %s does nothing: its program does not handle it", r.id, unix.SignalName(signal)))
	}
	return err
}

// OpenInput waits until the app starts and no other caller has its standard input, and opens that.
// The caller closes it. It is nil if the app has none, or is over. A run whose input is not known
// any more is ended: a part of it would pass for all.
func (c *RunCaller) OpenInput(ctx context.Context) (host.Input, error) {
	r, p := c.run, c.keeper.config.Processes
	if !r.input || p == nil {
		return nil, nil
	}
	select {
	case <-r.started:
	case <-r.over:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case r.writing <- struct{}{}:
	case <-r.over:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if closed(r.over) {
		<-r.writing
		return nil, nil
	}
	in, err := p.OpenInput(ctx, r.id, r.app)
	if err != nil {
		<-r.writing
		if ctx.Err() == nil && !closed(r.ending) {
			r.end(fmt.Errorf("standard input: %w", err))
		}
		return nil, err
	}
	return &runInput{Input: in, done: sync.OnceFunc(func() { <-r.writing })}, nil
}

// A runInput is an input that the next caller may open after Close.
type runInput struct {
	host.Input
	done func()
}

func (i *runInput) Close() error {
	defer i.done()
	return i.Input.Close()
}
