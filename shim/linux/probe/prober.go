package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Prober asks the containers of this host. For http, tcp and grpc it goes to the loopback of the group's namespace, from a
// socket of its own and without a process: 127.0.0.1 and, where that is refused, ::1. It goes nowhere else, whatever a redirect
// says. For exec it runs the command in the container.
type Prober struct {
	layout   layout.Layout
	exec     host.Execer
	starting chan struct{} // a token for each program of an exec probe that may start at the same time
}

// New asks nobody yet.
func New(l layout.Layout, exec host.Execer) *Prober {
	return &Prober{layout: l, exec: exec, starting: make(chan struct{}, maxStarts)}
}

// Probe implements [probes.Prober].
func (h *Prober) Probe(ctx context.Context, group, container string, p spec.Probe) error {
	if p.Exec != nil {
		return h.runExec(ctx, group, container, p)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.Timeout, &timeoutError{p.Timeout})
	defer cancel()
	return askOver(ctx, p, func(_ context.Context, _, _ string) (net.Conn, error) { // a library's context may outlive the try
		return netns.DialLoopback(ctx, h.layout.NetnsPath(group), portOf(p))
	})
}

// askOver asks over the network.
func askOver(ctx context.Context, p spec.Probe, dial dialer) error {
	switch {
	case p.HTTP != nil:
		return resultError(ctx, "GET "+httpURL(p.HTTP), askHTTP(ctx, p.HTTP, dial))
	case p.GRPC != nil:
		return resultError(ctx, grpcTarget(p.GRPC), askGRPC(ctx, p.GRPC, dial))
	default:
		return resultError(ctx, "connect to "+loopback(p.TCP.Port), askTCP(ctx, dial))
	}
}

// A dialer connects to a probe's port, whatever network and address it is given.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// askTCP succeeds when somebody accepts.
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

// loopback is where a port is asked, as far as an operator need know.
func loopback(port uint16) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// An timeoutError is the cause of a context that ended because a probe's timeout was over.
type timeoutError struct{ timeout time.Duration }

func (t *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", t.timeout) }

// resultError is what a try comes to that was to do what: the libraries' errors without the words that are theirs, and apart those that
// the container has no part in.
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
		return fmt.Errorf("%s: %s", what, excerpt(err.Error(), maxError))
	}
}

// excerpt is the beginning of what a container said, in one line that no terminal acts on.
func excerpt(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, hint.OneLine(text))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

const (
	maxExcerpt = 160 // characters of what a container said
	maxError   = 240 // of an error that may have an excerpt in it
)
