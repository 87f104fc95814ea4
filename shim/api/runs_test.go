package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A fakeRuns keeps one run. It outlives the daemons that serve it.
type fakeRuns struct {
	mu      sync.Mutex
	run     group.Run
	begun   int
	joined  int
	callers int
	lines   []string
	changed chan struct{}
	started chan struct{}
	over    chan struct{}
	signals []syscall.Signal
	input   *fakeInput
	stdout  string
	dropped int64 // of stdout, the first bytes
	by      string
	err     error
}

func newFakeRuns() *fakeRuns {
	return &fakeRuns{
		run: group.Run{ID: "report-1", State: group.RunQueued, Place: 2}, changed: make(chan struct{}),
		started: make(chan struct{}), over: make(chan struct{}), input: &fakeInput{room: make(chan struct{}, 1000)},
	}
}

// change changes the run.
func (f *fakeRuns) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeRuns) start() {
	f.change(func() { f.run.State, f.run.Place = group.RunRunning, 0; close(f.started) })
}

func (f *fakeRuns) end(status uint32) {
	f.change(func() { f.run.State, f.run.ExitStatus = group.RunEnded, &status; close(f.over) })
}

func (f *fakeRuns) get(value func() int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return value()
}

func (f *fakeRuns) BeginRun(_ context.Context, req group.RunRequest, by string) (group.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun++; f.err != nil {
		return group.Run{}, f.err
	}
	f.by = by
	return f.run, nil
}

func (f *fakeRuns) JoinRun(context.Context, string) (RunCaller, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined++
	f.callers++
	return &fakeCaller{fakeRuns: f}, nil
}

func (f *fakeRuns) Runs() []group.Run { return []group.Run{f.run} }

func (f *fakeRuns) RunOf(_ context.Context, id string) (group.Run, error) {
	if id != f.run.ID {
		return group.Run{}, fmt.Errorf("run %q: %w", id, group.ErrNoRun)
	}
	return f.run, nil
}

func (f *fakeRuns) RunOutput(ctx context.Context, _ group.Run, stream string, from uint64, over <-chan struct{}, emit func(RunOutput) error) error {
	for done := false; ; {
		f.mu.Lock()
		text, dropped, changed := f.stdout, uint64(f.dropped), f.changed
		f.mu.Unlock()
		if stream == "stderr" {
			text, dropped = "", 0
		}
		if from < dropped {
			if err := emit(RunOutput{Dropped: int64(dropped - from)}); err != nil {
				return err
			}
			from = dropped
		}
		if part := text[min(from, uint64(len(text))):]; part != "" {
			if err := emit(RunOutput{Bytes: []byte(part)}); err != nil {
				return err
			}
			from += uint64(len(part))
		}
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-over:
			done = true
		case <-ctx.Done():
			return nil
		}
	}
}

type fakeCaller struct {
	*fakeRuns
	seen int
}

func (c *fakeCaller) Watch() (group.Run, []string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines[c.seen:]
	c.seen = len(c.lines)
	return c.run, lines, c.changed
}

func (c *fakeCaller) Started() <-chan struct{} { return c.started }
func (c *fakeCaller) Over() <-chan struct{}    { return c.over }

func (c *fakeCaller) Signal(_ context.Context, s syscall.Signal) error {
	c.change(func() { c.signals = append(c.signals, s) })
	return nil
}

func (c *fakeCaller) OpenInput(ctx context.Context) (host.Input, error) {
	select {
	case <-c.started:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &openInput{fakeInput: c.input, closed: make(chan struct{})}, nil
}

func (c *fakeCaller) Leave() { c.change(func() { c.callers-- }) }

// A fakeInput takes a byte for each value in room.
type fakeInput struct {
	mu    sync.Mutex
	taken bytes.Buffer
	count uint64
	ended bool
	room  chan struct{}
}

type openInput struct {
	*fakeInput
	once   sync.Once
	closed chan struct{}
}

func (i *fakeInput) Taken() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count
}

func (i *fakeInput) text() (string, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.taken.String(), i.ended
}

func (i *openInput) Write(p []byte) (n int, err error) {
	for n < len(p) {
		select {
		case _, limited := <-i.room:
			i.mu.Lock()
			part := p[n:]
			if limited {
				part = part[:1]
			}
			i.taken.Write(part)
			n, i.count = n+len(part), i.count+uint64(len(part))
			i.mu.Unlock()
		case <-i.closed:
			return n, io.ErrClosedPipe
		}
	}
	return n, nil
}

func (i *openInput) End() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	return nil
}

func (i *openInput) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// A ran has the results of Client.Run.
type ran struct {
	run group.Run
	err error
}

// A watched has all that the caller of a run got.
type watched struct {
	mu      sync.Mutex
	out     bytes.Buffer
	notices []group.RunNotice
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *watched) told(n group.RunNotice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, n)
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come about: %s", what)
		}
	}
}

func goRun(d *daemon, req group.RunRequest, s RunStreams) chan ran {
	done := make(chan ran, 1)
	go func() {
		run, err := d.Run(context.Background(), req, s)
		done <- ran{run, err}
	}()
	return done
}

func TestRunToItsEnd(t *testing.T) {
	t.Run("plain", func(t *testing.T) { runToItsEnd(t, group.Bundle{}) })
	t.Run("with a lock file", func(t *testing.T) {
		runToItsEnd(t, group.Bundle{Locked: group.ImageDigests{"registry.example/web:1": "sha256:1"}})
	})
}

func runToItsEnd(t *testing.T, bundle group.Bundle) {
	f := newFakeRuns()
	d := startDaemon(t, ServerConfig{Runs: f})
	var w watched
	signals := make(chan syscall.Signal, 1)
	done := goRun(d, group.RunRequest{ID: "report-1", Bundle: bundle}, RunStreams{Stdout: &w, Told: w.told, Signals: signals})
	told := func(n int) func() bool {
		return func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.notices) == n }
	}
	until(t, "its first place is told", told(1))
	f.change(func() { f.run.Place = 1 })
	until(t, "its next place is told", told(2))
	f.change(func() { f.lines = []string{"create work (app)"} })
	f.start()
	signals <- syscall.SIGTERM
	until(t, "the signal comes", func() bool { return f.get(func() int { return len(f.signals) }) == 1 })
	f.change(func() { f.stdout = "a\x00b" })
	f.end(3)
	got := <-done
	if got.err != nil || got.run.ExitCode() != 3 || w.text() != "a\x00b" || f.signals[0] != syscall.SIGTERM {
		t.Errorf("%+v, output %q, signals %v", got, w.text(), f.signals)
	}
	want := []group.RunNotice{
		{ID: "report-1", State: group.RunQueued, Place: 2}, {ID: "report-1", State: group.RunQueued, Place: 1},
		{ID: "report-1", Line: "create work (app)"}, {ID: "report-1", State: group.RunRunning}, {ID: "report-1", State: group.RunEnded},
	}
	if diff := cmp.Diff(want, w.notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	until(t, "the caller leaves", func() bool { return f.get(func() int { return f.callers }) == 0 })
	if f.by == "" || f.begun != 1 {
		t.Errorf("asked for by %q, %d times", f.by, f.begun)
	}
}

// A caller comes back to another daemon, with output and input where they were. Bytes that were
// dropped count.
func TestRunComesBack(t *testing.T) {
	f := newFakeRuns()
	d := startDaemon(t, ServerConfig{Runs: f})
	var w watched
	in, write := io.Pipe()
	done := goRun(d, group.RunRequest{ID: "report-1"}, RunStreams{Stdin: in, Stdout: &w, Told: w.told})
	until(t, "it joins", func() bool { return f.get(func() int { return f.joined }) == 1 })
	f.change(func() { f.stdout, f.dropped = "0123456789", 4 })
	f.start()
	until(t, "output comes", func() bool { return w.text() == "456789" })
	_, _ = write.Write([]byte("abcdef"))
	for range 4 { // the app reads four of six bytes
		f.input.room <- struct{}{}
	}
	until(t, "input is taken", func() bool { return f.input.Taken() == 4 })
	d.stop()
	l, err := Listen(d.socket, Access{})
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, ServerConfig{Runs: f}, d.socket, l)
	until(t, "it joins again", func() bool { return f.get(func() int { return f.joined }) == 2 })
	f.change(func() { f.stdout += "xyz" })
	until(t, "more output comes", func() bool { return w.text() == "456789xyz" })
	close(f.input.room)
	_, _ = write.Write([]byte("gh"))
	_ = write.Close()
	until(t, "the input ends", func() bool { _, ended := f.input.text(); return ended })
	if text, _ := f.input.text(); text != "abcdefgh" {
		t.Errorf("the app has read %q", text)
	}
	f.end(0)
	if got := <-done; got.err != nil || got.run.ExitCode() != 0 {
		t.Errorf("%+v", got)
	}
	dropped := int64(0)
	for _, n := range w.notices {
		dropped += n.Dropped
	}
	if dropped != 4 {
		t.Errorf("told that %d bytes were dropped", dropped)
	}
}

// An app that reads nothing gets a window of input, and its caller keeps little more than that.
func TestRunInputIsBounded(t *testing.T) {
	f := newFakeRuns()
	d := startDaemon(t, ServerConfig{Runs: f})
	endless := &countingReader{}
	done := goRun(d, group.RunRequest{ID: "report-1"}, RunStreams{Stdin: endless})
	f.start()
	until(t, "the window is full", func() bool { return endless.count() >= window })
	for range 100 {
		f.input.room <- struct{}{}
	}
	until(t, "input is taken", func() bool { return f.input.Taken() == 100 })
	if n := endless.count(); n > window+2*chunk {
		t.Errorf("%d bytes were read ahead", n)
	}
	f.end(0)
	if got := <-done; got.err != nil {
		t.Error(got.err)
	}
}

type countingReader struct {
	mu sync.Mutex
	n  int
}

func (r *countingReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n += len(p)
	return len(p), nil
}

func (r *countingReader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// A caller that reads slowly gets all of it, and the result after that.
func TestRunWithASlowReader(t *testing.T) {
	f := newFakeRuns()
	f.stdout = strings.Repeat("0123456789", 300_000)
	d := startDaemon(t, ServerConfig{Runs: f})
	slow := &gatedWriter{gate: make(chan struct{})}
	done := goRun(d, group.RunRequest{ID: "report-1"}, RunStreams{Stdout: slow})
	f.start()
	f.end(7)
	select {
	case got := <-done:
		t.Fatalf("a result before the output was read: %+v", got)
	case slow.gate <- struct{}{}:
	}
	close(slow.gate)
	if got := <-done; got.err != nil || got.run.ExitCode() != 7 || slow.Len() != len(f.stdout) {
		t.Errorf("%+v, %d bytes", got, slow.Len())
	}
}

// A gatedWriter writes once for each value of gate.
type gatedWriter struct {
	bytes.Buffer
	gate chan struct{}
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	<-w.gate
	return w.Buffer.Write(p)
}

func TestRunIsRefused(t *testing.T) {
	f := newFakeRuns()
	f.err = fmt.Errorf("%w: 8 go on", group.ErrQueueFull)
	d := startDaemon(t, ServerConfig{Runs: f})
	for _, detach := range []bool{false, true} {
		if _, err := d.Run(t.Context(), group.RunRequest{ID: "report-1", Detach: detach}, RunStreams{}); !errors.Is(err, group.ErrQueueFull) {
			t.Errorf("detached %v: %v", detach, err)
		}
	}
	f.err = nil
	if run, err := d.Run(t.Context(), group.RunRequest{ID: "report-1", Detach: true}, RunStreams{}); err != nil || run.State != group.RunQueued {
		t.Errorf("detached: %+v, %v", run, err)
	}
	if _, err := d.RunOf(t.Context(), "report-2"); !errors.Is(err, group.ErrNoRun) {
		t.Errorf("an unknown run: %v", err)
	}
	if all, err := d.Runs(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("the runs are %v, %v", all, err)
	}
	boom := errors.New("boom")
	f.stdout = "text"
	f.start()
	if _, err := d.Run(t.Context(), group.RunRequest{ID: "report-1"}, RunStreams{Stdout: failingWriter{boom}}); !errors.Is(err, boom) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// Requests that no client makes.
func TestRunRequests(t *testing.T) {
	d := startDaemon(t, ServerConfig{Runs: newFakeRuns()})
	for body, want := range map[string]int{
		`{"run":{"id":"../x"}}`: 400, `{"run":{"id":"report-1","timeout":-1}}`: 400, `{"run":{"id":"report-1"}}`: 426, `{"run":`: 400,
	} {
		resp, err := d.browser().Post("http://x/v1/runs", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", body, http.StatusText(resp.StatusCode))
		}
	}
}
