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

// A private is the daemon's own containerd while it runs. A nil private means that the daemon uses
// another containerd. It outlives the context of its start, since the rest of the daemon needs it
// to the end.
type private struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // once ended is closed
}

// openContainerd chooses the containerd, starts it if it is a private one, and returns its socket.
func (f runtimeFlags) openContainerd(ctx context.Context, l layout.Layout, log *slog.Logger) (string, *private, error) {
	choice, err := f.choose(l)
	if err != nil {
		return "", nil, err
	}
	if choice != privateContainerd {
		return choice, nil, remember(l, choice)
	}
	config := f.child(l)
	config.Log = log
	child, err := child.New(config)
	if err != nil {
		return "", nil, err
	}
	p, err := startPrivate(ctx, child)
	if err != nil {
		return "", nil, err
	}
	if err := remember(l, choice); err != nil {
		return "", nil, errors.Join(err, p.end())
	}
	return child.Address(), p, nil
}

func startPrivate(ctx context.Context, child *child.Child) (*private, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &private{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = child.Run(own)
	}()
	ready, stop := context.WithTimeoutCause(ctx, privateReady, fmt.Errorf("no answer within %v", privateReady))
	defer stop()
	if err := child.Ready(ready); err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
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
	return p.err
}
