package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A RunKeeper keeps runs.
type RunKeeper interface {
	// BeginRun accepts a run, or returns what is known of the one with that ID.
	BeginRun(ctx context.Context, req group.RunRequest, by string) (group.Run, error)
	// JoinRun adds a caller to a run. The caller ends that with Leave.
	JoinRun(ctx context.Context, id string) (RunCaller, error)
	Runs() []group.Run
	RunOf(ctx context.Context, id string) (group.Run, error)
	// RunOutput calls emit with what a run's app prints to a stream, "stdout" or "stderr", after
	// the first from bytes. It returns when over is closed and all is emitted, or when ctx ends.
	RunOutput(ctx context.Context, run group.Run, stream string, from uint64, over <-chan struct{}, emit func(RunOutput) error) error
}

// A RunOutput is a part of what a program has printed, or how much of it was deleted before it
// could be read.
type RunOutput struct {
	Bytes   []byte // valid until emit returns
	Dropped int64
}

// A RunCaller is one who stays with a run. Implemented by keeper.RunCaller.
type RunCaller interface {
	// Watch returns the run, the lines of progress since the last call, and a channel that is
	// closed when there is something new.
	Watch() (now group.Run, lines []string, changed <-chan struct{})
	Started() <-chan struct{}
	Over() <-chan struct{} // closed when the result is known, and all output is written
	Signal(ctx context.Context, signal syscall.Signal) error
	// OpenInput waits until the app starts. It returns nil if the app has no standard input.
	OpenInput(ctx context.Context) (host.Input, error)
	Leave()
}

var errNoRuns = errors.New("this daemon keeps no runs")

func (s *Server) listRuns(*http.Request) (any, error) {
	body := runsBody{Runs: []group.Run{}}
	if s.Runs != nil {
		body.Runs = append(body.Runs, s.Runs.Runs()...)
	}
	return body, nil
}

func (s *Server) showRun(r *http.Request) (any, error) {
	id := r.PathValue("run")
	if s.Runs == nil || !name.MatchString(id) {
		return nil, fmt.Errorf("run %q: %w", id, group.ErrNoRun)
	}
	run, err := s.Runs.RunOf(r.Context(), id)
	return runBody{run}, err
}

// startRun begins or joins a run. With an upgraded connection it stays with it until it is over.
func (s *Server) startRun(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	var body startRunBody
	var run group.Run
	err := s.guard(r, func() (err error) {
		if err = readJSON(r, &body); err == nil {
			err = s.checkRun(r, body)
		}
		if err == nil {
			run, err = s.Runs.BeginRun(r.Context(), body.Run, callerOf(r).String())
		}
		return err
	})
	if err = because(r.Context(), err); err != nil {
		s.record(r, begun, err)
		writeError(w, err)
		return
	}
	if r.Header.Get("Upgrade") != runProtocol {
		s.record(r, begun, nil)
		writeJSON(w, http.StatusOK, runBody{run})
		return
	}
	caller, err := s.Runs.JoinRun(r.Context(), run.ID)
	if err != nil {
		writeError(w, err)
		return
	}
	defer caller.Leave()
	s.upgrade(w, runProtocol, func(conn net.Conn, in io.Reader) {
		session := runSession{s: s, caller: caller, run: run, frames: &frameWriter{w: conn}, inbox: newInbox(func(int) {}), signals: make(chan syscall.Signal, 16)}
		err := session.serve(r.Context(), conn, in, body)
		s.Log.Info("control socket", "request", "run", "run", run.ID, "took", time.Since(begun).Round(time.Millisecond), "error", err)
	})
}

func (s *Server) checkRun(r *http.Request, body startRunBody) error {
	switch {
	case s.Runs == nil:
		return errNoRuns
	case !name.MatchString(body.Run.ID):
		return &badRequest{fmt.Errorf("%q is no ID of a run", body.Run.ID), http.StatusBadRequest}
	case body.Run.Timeout < 0:
		return &badRequest{fmt.Errorf("%s is no time that a run can take", body.Run.Timeout), http.StatusBadRequest}
	case !body.Run.Detach && r.Header.Get("Upgrade") != runProtocol:
		return &badRequest{errors.New("a run that is not detached needs a connection that is upgraded to " + runProtocol), http.StatusUpgradeRequired}
	}
	return nil
}

// A runSession is the daemon's side of one connection of a run's caller.
type runSession struct {
	s       *Server
	caller  RunCaller
	run     group.Run // as it was at the beginning
	frames  *frameWriter
	inbox   *inbox
	signals chan syscall.Signal
}

// serve stays with the run until it is over or the caller disconnects. A daemon that stops closes
// the connection without a result: the caller comes back to the next one.
func (x *runSession) serve(ctx context.Context, conn net.Conn, in io.Reader, body startRunBody) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var all sync.WaitGroup
	defer func() {
		stop()
		cancel(nil)
		_ = conn.Close() // ends read
		all.Wait()
	}()
	all.Go(func() { cancel(fmt.Errorf("%w: %w", errGone, x.read(in))) })
	all.Go(func() { x.passSignals(ctx) })
	if body.Run.Stdin {
		all.Go(func() { x.passInput(ctx) })
	}
	var printing sync.WaitGroup
	printing.Go(func() { x.print(ctx, cancel, "stdout", frameStdout, body.Stdout) })
	printing.Go(func() { x.print(ctx, cancel, "stderr", frameStderr, body.Stderr) })
	now, err := x.tell(ctx)
	printing.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return because(ctx, err)
	}
	now.Error, now.Hint = cut(now.Error), cut(now.Hint)
	data, err := json.Marshal(now)
	if err == nil {
		err = x.frames.write(frameResult, data)
	}
	return err
}

// cut shortens a text that is too long for a frame: JSON may need six bytes for one.
func cut(text string) string { return text[:min(len(text), maxFrame/16)] }

// tell sends what is new of the run until it is over, and returns it.
func (x *runSession) tell(ctx context.Context) (group.Run, error) {
	var told group.Run
	for {
		now, lines, changed := x.caller.Watch()
		for _, line := range lines {
			if err := x.notice(group.RunNotice{Line: cut(line)}); err != nil {
				return now, err
			}
		}
		if now.State != told.State || now.Place != told.Place {
			if err := x.notice(group.RunNotice{State: now.State, Place: now.Place}); err != nil {
				return now, err
			}
			told = now
		}
		if now.State.Over() {
			select {
			case <-x.caller.Over():
				now, _, _ = x.caller.Watch()
				return now, nil
			default: // its app is lost, and the rest is not removed yet
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func (x *runSession) notice(n group.RunNotice) error {
	n.ID = x.run.ID
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return x.frames.write(frameNotice, data)
}

// print sends what the app prints to one stream.
func (x *runSession) print(ctx context.Context, cancel context.CancelCauseFunc, stream string, kind frameType, from uint64) {
	select {
	case <-x.caller.Started():
	case <-x.caller.Over(): // it may have ended before it started
	case <-ctx.Done():
		return
	}
	to := output{x.frames, kind}
	err := x.s.Runs.RunOutput(ctx, x.run, stream, from, x.caller.Over(), func(o RunOutput) error {
		if o.Dropped > 0 {
			return x.notice(group.RunNotice{Dropped: o.Dropped, Stream: stream})
		}
		_, err := to.Write(o.Bytes)
		return err
	})
	if err != nil && ctx.Err() == nil {
		_ = x.frames.write(frameError, encodeFrameError(fmt.Errorf("read the output of run %s: %w", x.run.ID, err)))
		cancel(err)
	}
}

// passInput passes standard input on to the app, and grants as much more as that has taken.
func (x *runSession) passInput(ctx context.Context) {
	in, err := x.caller.OpenInput(ctx)
	if in == nil {
		if err != nil && ctx.Err() == nil {
			x.s.Log.Warn("control socket: standard input of a run", "run", x.run.ID, "error", err)
		}
		return
	}
	release := sync.OnceFunc(func() { _ = in.Close() })
	defer release()
	defer context.AfterFunc(ctx, release)() // ends a write that waits
	if x.frames.write(frameInput, binary.BigEndian.AppendUint64(nil, in.Taken())) != nil {
		return
	}
	buf := make([]byte, chunk)
	for {
		n, end := x.inbox.Read(buf)
		if n > 0 {
			taken, err := in.Write(buf[:n])
			if taken > 0 {
				_ = x.frames.write(frameGrant, number(uint32(taken)))
			}
			if err != nil {
				return
			}
		}
		if end == io.EOF {
			if err := in.End(); err != nil {
				x.s.Log.Warn("control socket: end the standard input of a run", "run", x.run.ID, "error", err)
			}
		}
		if end != nil {
			return
		}
	}
}

// passSignals passes signals on, one after the other.
func (x *runSession) passSignals(ctx context.Context) {
	for {
		select {
		case signal := <-x.signals:
			if err := x.caller.Signal(ctx, signal); err != nil && ctx.Err() == nil {
				_ = x.notice(group.RunNotice{Line: cut(fmt.Sprintf("%s: %s is not passed on: %v", x.run.ID, signal, err))})
			}
		case <-ctx.Done():
			return
		}
	}
}

// read handles the caller's frames until it disconnects. It returns the reason, never nil.
func (x *runSession) read(in io.Reader) (err error) {
	defer func() { x.inbox.close(io.ErrUnexpectedEOF) }()
	frames := frameReader{r: in}
	for {
		kind, payload, err := frames.next()
		if err != nil {
			return err
		}
		switch kind {
		case frameStdin:
			err = x.inbox.put(payload)
		case frameStdinEnd:
			x.inbox.close(io.EOF)
		case frameSignal:
			var n uint32
			if n, err = parseNumber(payload); err == nil && n > 0 && n < 65 { // signal(7)
				select {
				case x.signals <- syscall.Signal(n):
				default: // so many wait that one more makes no difference
				}
			}
		}
		if err != nil {
			return err
		}
	}
}
