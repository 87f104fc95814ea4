// Package probe asks the probes of containers on a real host.
//
// Pitfall: an error that wraps [host.ErrNotAsked] means that the container was not asked. It
// must not count against the container.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Prober asks the containers of this host. For http, tcp and grpc it connects to the loopback of
// the group's namespace: to 127.0.0.1 and, if that is refused, to ::1. It uses a socket of its own
// in the namespace, and no process. It connects to no other address, even if a redirect names one.
// For exec it runs the command in the container.
type Prober struct {
	layout   layout.Layout
	exec     host.Execer
	starting chan struct{} // holds a token for each exec probe that is starting; see [maxStarts]
}

// New returns a Prober. It asks no container yet.
func New(l layout.Layout, exec host.Execer) *Prober {
	return &Prober{layout: l, exec: exec, starting: make(chan struct{}, maxStarts)}
}

// Probe implements [probes.Prober].
func (p *Prober) Probe(ctx context.Context, group, container string, probe spec.Probe) error {
	if probe.Exec != nil {
		return p.runExec(ctx, group, container, probe)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probe.Timeout, &timeoutError{probe.Timeout})
	defer cancel()
	// The dialer uses this ctx: the context of a library may outlive the attempt.
	return askOver(ctx, probe, func(_ context.Context, _, _ string) (net.Conn, error) {
		conn, err := netns.DialLoopback(ctx, p.layout.NetnsPath(group), portOf(probe))
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	})
}

// askOver asks over a connection of the dialer.
func askOver(ctx context.Context, p spec.Probe, dial dialer) error {
	switch {
	case p.HTTP != nil:
		return resultError(ctx, httpTarget(p.HTTP), askHTTP(ctx, p.HTTP, dial))
	case p.GRPC != nil:
		return resultError(ctx, grpcTarget(p.GRPC), askGRPC(ctx, p.GRPC, dial))
	default:
		return resultError(ctx, "connect to "+loopback(p.TCP.Port), askTCP(ctx, dial))
	}
}

// A dialer connects to a probe's port. It ignores the network and the address.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// askTCP succeeds when the connection is accepted.
func askTCP(ctx context.Context, dial dialer) error {
	conn, err := dial(ctx, "", "")
	if err != nil {
		return err
	}
	return conn.Close()
}

func portOf(p spec.Probe) uint16 {
	switch {
	case p.HTTP != nil:
		return p.HTTP.Port
	case p.GRPC != nil:
		return p.GRPC.Port
	default:
		return p.TCP.Port
	}
}

// loopback returns the address of a port for an error text. It does not mention ::1.
func loopback(port uint16) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// A timeoutError is the cause of a context that ended because a probe's timeout was over.
type timeoutError struct{ timeout time.Duration }

func (t *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", t.timeout) }

// resultError returns the error of an attempt to do what. It drops the words that a library puts
// around an error. If the container could not be asked, the error wraps [host.ErrNotAsked].
func resultError(ctx context.Context, what string, err error) error {
	late, isLate := errors.AsType[*timeoutError](context.Cause(ctx))
	errno, isErrno := errors.AsType[unix.Errno](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, netns.ErrNoSocket):
		return fmt.Errorf("%s: %w: %w", what, host.ErrNotAsked, err)
	case isLate:
		return fmt.Errorf("%s: %w", what, late)
	case isErrno:
		return fmt.Errorf("%s: %w", what, errno)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: it hung up without an answer", what)
	default:
		return fmt.Errorf("%s: %s", what, hint.Excerpt(err.Error(), hint.Long))
	}
}
