package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/shim/ctrd/child"
	"github.com/sallyport/sallyport/shim/layout"
)

// privateReady is how long a private containerd may take to serve: a second on an idle host, more
// after a power cut.
const privateReady = time.Minute

// A private is this process's own containerd while it runs. A nil private means that another
// process runs the containerd. It outlives the context of its start, since the rest of the daemon
// needs it to the end.
type private struct {
	lock   *lock
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once ended is closed
}

// openContainerd chooses the containerd, starts it if it is a private one that no other
// process runs, and returns its socket.
func (f runtimeFlags) openContainerd(ctx context.Context, l layout.Layout, log *slog.Logger) (string, *private, error) {
	choice, err := f.choose(l)
	if err != nil {
		return "", nil, err
	}
	if choice != privateContainerd {
		return choice, nil, remember(l, choice)
	}
	child, err := f.newChild(l, log)
	if err != nil {
		return "", nil, err
	}
	var p *private
	if f.ContainerdService {
		err = awaitPrivate(ctx, child)
	} else {
		p, err = runPrivate(ctx, l, child)
		if held, ok := errors.AsType[*heldError](err); ok {
			log.Info("another process runs the private containerd", "pid", held.pid)
			err = awaitPrivate(ctx, child)
		}
	}
	if err != nil {
		return "", nil, err
	}
	if err := remember(l, choice); err != nil {
		return "", nil, errors.Join(err, p.end())
	}
	return child.Address(), p, nil
}

// newChild returns the private containerd of a layout, and starts nothing.
func (f runtimeFlags) newChild(l layout.Layout, log *slog.Logger) (*child.Child, error) {
	config := f.child(l)
	config.Log = log
	return child.New(config)
}

// runPrivate runs the private containerd, and returns once it serves. The error is a *heldError if
// another process runs it.
func runPrivate(ctx context.Context, l layout.Layout, child *child.Child) (*private, error) {
	lock, err := takeContainerdLock(l.StateDir)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &private{lock: lock, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = child.Run(own)
	}()
	if err := awaitPrivate(ctx, child); err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

// awaitPrivate returns once the private containerd serves.
func awaitPrivate(ctx context.Context, child *child.Child) error {
	ready, stop := context.WithTimeoutCause(ctx, privateReady, fmt.Errorf("no answer within %v", privateReady))
	defer stop()
	return child.Ready(ready)
}

// wait returns the reason when the private containerd can't be kept running, or nil when ctx ends.
func (p *private) wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return nil
	}
}

// end stops the private containerd and returns when it has ended. A second call does nothing, and
// neither does a call on nil.
func (p *private) end() error {
	if p == nil {
		return nil
	}
	p.cancel()
	<-p.ended
	p.lock.release()
	return p.err
}
