package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// blocked returns a Keeper whose verbs wait for their context. It reports when one waits and why it
// ended.
func blocked() (k *fakeKeeper, began chan struct{}, ended chan error) {
	began, ended = make(chan struct{}, 1), make(chan error, 1)
	return &fakeKeeper{do: func(ctx context.Context, _ func(string)) error {
		began <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}, began, ended
}

func TestClientThatLeavesEndsTheWait(t *testing.T) {
	keeper, began, ended := blocked()
	d := startDaemon(t, ServerConfig{Keeper: keeper})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- d.Apply(ctx, twoFiles, nil) }()
	receive(t, "Apply to begin", began)
	cancel()
	if err := receive(t, "the client", answered); !errors.Is(err, context.Canceled) {
		t.Errorf("client: got %v, want context.Canceled", err)
	}
	receive(t, "the end of the wait", ended)
}

func TestDaemonStops(t *testing.T) {
	keeper, began, ended := blocked()
	d := startDaemon(t, ServerConfig{Keeper: keeper})
	answered := make(chan error, 1)
	go func() { answered <- d.Apply(t.Context(), nil, nil) }()
	receive(t, "Apply to begin", began)
	d.stop()
	receive(t, "the end of the wait", ended)
	checkProblem(t, receive(t, "the client", answered), "the daemon is stopping",
		`the groups continue to run; see "sallyport ps" when the daemon is back`)
}

func TestProgressIsSentAtOnce(t *testing.T) {
	seen := make(chan string)
	d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(_ context.Context, progress func(string)) error {
		for _, line := range []string{"one", "two"} {
			progress(line)
			if got := <-seen; got != line {
				return fmt.Errorf("client saw %q, want %q", got, line)
			}
		}
		return nil
	}}})
	if err := d.Apply(t.Context(), nil, func(line string) { seen <- line }); err != nil {
		t.Error(err)
	}
}

// Work must not wait for a caller that doesn't read, and memory must not grow.
func TestCallerThatDoesNotRead(t *testing.T) {
	ended := make(chan error, 1)
	d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(ctx context.Context, progress func(string)) error {
		line := strings.Repeat("x", 1<<10)
		for ctx.Err() == nil {
			progress(line)
		}
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}})
	conn := request(t, d.socket, "DELETE /v1/groups/web HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := receive(t, "the end of the work", ended); err != errSlow {
		t.Errorf("cause: got %v, want %v", err, errSlow)
	}
	_ = conn.Close()
}

func TestProgressAfterTheEnd(t *testing.T) {
	var late func(string)
	d := startDaemon(t, ServerConfig{Keeper: &fakeKeeper{do: func(_ context.Context, progress func(string)) error {
		late = progress
		return nil
	}}})
	if err := d.Apply(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	late("ignored, without a failure")
}

func TestLogs(t *testing.T) {
	requests := make(chan LogRequest, 1)
	at := time.Date(2026, 11, 29, 12, 0, 0, 1_000_000, time.UTC)
	lines := []LogLine{
		{Container: "web", Text: "plain"}, {Container: "web"}, {Container: "proxy", Text: "\x00\xff\xfe \u2028<&>\r"},
		{Container: "web", Text: strings.Repeat("é", 32<<10)}, {Container: "web", Text: "\xff"},
		{Container: "web", Text: "timed", Time: at}, {Container: "web", Text: "or before", Time: at, Latest: true},
		{Container: "web", Stream: "stderr", Text: "apart", Time: at}, {Container: "web", Stream: "stderr", Missed: 4096}, {Container: "web", Missed: 1},
	}
	d := startDaemon(t, ServerConfig{Logs: func(_ context.Context, req LogRequest, emit func(LogLine) error) error {
		requests <- req
		for _, l := range lines {
			if err := emit(l); err != nil {
				return err
			}
		}
		return nil
	}})
	for _, want := range []LogRequest{
		{Group: "checkout", Containers: []string{"web", "proxy"}, Tail: -1},
		{Group: "checkout", Times: true, Since: at, Until: at.Add(time.Nanosecond), Tail: 3},
		{Group: "checkout", Removed: true, Since: at},
	} {
		var got []LogLine
		if err := d.Logs(t.Context(), want, func(l LogLine) error { got = append(got, l); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines, got); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, <-requests); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
	}
}

func TestRemovedOutput(t *testing.T) {
	want := []RemovedOutput{{Group: "web", At: time.Unix(1_790_000_000, 0).UTC(), Containers: []string{"app"}, Size: 4096}}
	d := startDaemon(t, ServerConfig{Removed: func() ([]RemovedOutput, error) { return want, nil }})
	got, err := d.Removed(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	d = startDaemon(t, ServerConfig{})
	if got, err := d.Removed(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("a daemon without: %v, %v", got, err)
	}
}

func TestLogsFollow(t *testing.T) {
	ended := make(chan struct{}, 1)
	d := startDaemon(t, ServerConfig{Logs: func(ctx context.Context, req LogRequest, emit func(LogLine) error) error {
		if !req.Follow {
			return errors.New("not asked to follow")
		}
		if err := emit(LogLine{Container: "web", Text: "one"}); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- struct{}{}
		return nil
	}})
	follow := func(ctx context.Context, emit func()) error {
		return d.Logs(ctx, LogRequest{Group: "web", Follow: true}, func(LogLine) error { emit(); return nil })
	}

	ctx, cancel := context.WithCancel(t.Context())
	if err := follow(ctx, cancel); err != nil {
		t.Errorf("the client ends it: got %v, want no error", err)
	}
	receive(t, "the end of the source", ended)

	full := errors.New("disk full")
	if err := d.Logs(t.Context(), LogRequest{Group: "web", Follow: true}, func(LogLine) error { return full }); err != full {
		t.Errorf("emit fails: got %v, want %v", err, full)
	}
	receive(t, "the end of the source", ended)

	err := follow(t.Context(), func() { go d.stop() })
	checkProblem(t, err, errStopping.Error(), errStopping.Hint)
}

// The server has much output, and the caller disconnects after a little of it.
func TestLogsToACallerThatHangsUp(t *testing.T) {
	ended := make(chan error, 1)
	d := startDaemon(t, ServerConfig{Logs: func(_ context.Context, _ LogRequest, emit func(LogLine) error) (err error) {
		for err == nil {
			err = emit(LogLine{Container: "web", Text: "line"})
		}
		ended <- err
		return err
	}})
	conn := request(t, d.socket, "GET /v1/groups/web/logs HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := receive(t, "the end of the source", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// request writes a text to the socket that no Client would send.
func request(t *testing.T, socket, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return conn
}
