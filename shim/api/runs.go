package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// RunStreams connect a run with its caller. All are optional.
type RunStreams struct {
	Stdin          io.Reader // nil: the app reads the end of its standard input at once
	Stdout, Stderr io.Writer
	Signals        <-chan syscall.Signal   // each is passed on to the app's main process
	Told           func(n group.RunNotice) // called with one notice at a time
}

// The client comes back to a run whose connection was lost, as by a daemon that is restarted.
const (
	runPatience  = 30 * time.Second       // how long the daemon may be away
	runRetryMost = 500 * time.Millisecond // the longest time between two attempts
)

// Run starts a run and stays with it until it is over. A run that is known already by the request's
// ID is joined instead, and is never run twice. When the connection is lost, Run comes back for up
// to 30 s, and goes on with output and input where it was. A detached run is only accepted: Run
// returns what is known of it then.
//
// An error means that the request was refused, that a writer failed, or that the daemon is lost.
// errors.Is finds [group.ErrFile] and [group.ErrQueueFull] in it. A run that could not be built, or
// was ended, is no error: see [group.Run.ExitCode]. When ctx ends, or after an error, the daemon
// ends the run in a while, unless it is detached.
//
// A Read of Stdin that blocks after the run is over keeps its goroutine, as in [Client.Exec].
func (c *Client) Run(ctx context.Context, req group.RunRequest, s RunStreams) (group.Run, error) {
	if !name.MatchString(req.ID) {
		return group.Run{}, fmt.Errorf("run %q: %w", req.ID, group.ErrNoRun)
	}
	req.Stdin = s.Stdin != nil && !req.Detach
	a := &runAttachment{client: c, req: req, streams: s, input: newRunInput()}
	if req.Stdin {
		go a.input.fill(s.Stdin)
		defer a.input.close()
	}
	return a.stay(ctx)
}

// Runs returns the runs that are queued, that go on, and that are over and still known, the oldest
// first.
func (c *Client) Runs(ctx context.Context) ([]group.Run, error) {
	var body runsBody
	err := c.ask(ctx, http.MethodGet, "/v1/runs", nil, &body)
	return body.Runs, err
}

// RunOf returns one run. errors.Is finds [group.ErrNoRun] in the error for an unknown one.
func (c *Client) RunOf(ctx context.Context, id string) (group.Run, error) {
	if !name.MatchString(id) {
		return group.Run{}, fmt.Errorf("run %q: %w", id, group.ErrNoRun)
	}
	var body runBody
	err := c.ask(ctx, http.MethodGet, "/v1/runs/"+id, nil, &body)
	return body.Run, err
}

// JSON bodies about runs.
type (
	// A startRunBody starts a run, or joins it with what is printed after the offsets.
	startRunBody struct {
		Run    group.RunRequest `json:"run"`
		Stdout uint64           `json:"stdout,omitempty"`
		Stderr uint64           `json:"stderr,omitempty"`
	}
	runsBody struct {
		Runs []group.Run `json:"runs"`
	}
	runBody struct {
		Run group.Run `json:"run"`
	}
)

// A runAttachment is the client's side of a run, over all connections.
type runAttachment struct {
	client  *Client
	req     group.RunRequest
	streams RunStreams
	input   *runInput
	stdout  uint64 // how much of it has come
	stderr  uint64
	sent    bool // a daemon may know the run
}

// errLostRun is wrapped by the errors of a connection that was lost.
var errLostRun = errors.New("the connection is lost")

// stay attaches until the run is over.
func (a *runAttachment) stay(ctx context.Context) (group.Run, error) {
	var since time.Time // when the connection was lost
	wait := 10 * time.Millisecond
	for {
		joined, run, err := a.attach(ctx)
		switch {
		case err == nil || ctx.Err() != nil || !errors.Is(err, errLostRun):
			return run, err
		case since.IsZero() || joined:
			since, wait = time.Now(), 10*time.Millisecond
		case time.Since(since) > runPatience:
			return run, &hint.Error{
				Err:  fmt.Errorf("run %s: the daemon has been away for %s", a.req.ID, runPatience),
				Hint: fmt.Sprintf("it goes on, or is ended when the daemon is back: \"sallyport status %s\" and \"sallyport run ls\" show it then", a.req.ID),
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return run, ctx.Err()
		}
		wait = min(2*wait, runRetryMost)
	}
}

// path returns the route for the run. A daemon that doesn't know lock files must not ignore one.
func (a *runAttachment) path() string {
	if len(a.req.Bundle.Locked) > 0 {
		return lockedRunsPath
	}
	return runsPath
}

const runsPath, lockedRunsPath = "/v1/runs", "/v1/locked/runs"

// attach asks for the run over one connection, and returns when it is over or the connection is
// lost. joined reports whether the daemon has answered.
func (a *runAttachment) attach(ctx context.Context) (joined bool, run group.Run, err error) {
	body := startRunBody{Run: a.req, Stdout: a.stdout, Stderr: a.stderr}
	if a.req.Detach {
		var answer runBody
		err := a.client.WithPatience(previewFactor*a.client.patience).ask(ctx, http.MethodPost, a.path(), body, &answer)
		return false, answer.Run, a.lost(err)
	}
	r, err := a.client.send(ctx, http.MethodPost, a.path(), body, http.StatusSwitchingProtocols)
	if err != nil {
		return false, run, a.lost(err)
	}
	a.sent = true
	frames := &frameWriter{w: r.conn}
	end := a.sendSignals(frames)
	run, err = a.read(ctx, r.in, frames)
	r.close()
	end()
	a.input.detach()
	return true, run, err
}

// lost marks an error of the connection, after which it makes sense to come back. One that a daemon
// has answered with is none. Nor is one of the first connection, unless it was made.
func (a *runAttachment) lost(err error) error {
	var answered *remoteError
	if err == nil || errors.As(err, &answered) || !a.sent && !errors.Is(err, errLost) {
		return err
	}
	a.sent = true
	return fmt.Errorf("%w: %w", errLostRun, err)
}

// sendSignals passes signals on from a goroutine of its own, and returns a function that ends it.
func (a *runAttachment) sendSignals(frames *frameWriter) (end func()) {
	ended := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			select {
			case sig, ok := <-a.streams.Signals:
				if !ok || frames.write(frameSignal, number(uint32(sig))) != nil {
					return
				}
			case <-ended:
				return
			}
		}
	})
	return func() { close(ended); sending.Wait() }
}

// read handles the daemon's frames until the last one.
func (a *runAttachment) read(ctx context.Context, in io.Reader, out *frameWriter) (run group.Run, err error) {
	frames := frameReader{r: in}
	for {
		kind, payload, err := frames.next()
		if err != nil {
			if err = lost(ctx, err); errors.Is(err, errLost) {
				err = a.lost(err)
			}
			return run, err
		}
		switch kind {
		case frameStdout:
			a.stdout += uint64(len(payload))
			err = show(a.streams.Stdout, payload)
		case frameStderr:
			a.stderr += uint64(len(payload))
			err = show(a.streams.Stderr, payload)
		case frameInput:
			if len(payload) != 8 {
				return run, fmt.Errorf("%w: an offset of %d bytes", errFrame, len(payload))
			}
			err = a.input.attach(binary.BigEndian.Uint64(payload), out)
		case frameGrant:
			var n uint32
			if n, err = parseNumber(payload); err == nil {
				a.input.taken(uint64(n))
			}
		case frameNotice:
			var n group.RunNotice
			if err = json.Unmarshal(payload, &n); err == nil {
				a.notice(n)
			}
		case frameResult:
			err = json.Unmarshal(payload, &run)
			return run, err
		case frameError:
			var e wireError
			if err := json.Unmarshal(payload, &e); err != nil {
				return run, fmt.Errorf("%w: %w", errFrame, err)
			}
			return run, e.decode()
		}
		if err != nil {
			return run, err
		}
	}
}

func (a *runAttachment) notice(n group.RunNotice) {
	switch n.Stream { // what was dropped counts in the offsets
	case "stdout":
		a.stdout += uint64(n.Dropped)
	case "stderr":
		a.stderr += uint64(n.Dropped)
	}
	if a.streams.Told != nil {
		a.streams.Told(n)
	}
}
