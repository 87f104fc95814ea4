package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

func TestMain(m *testing.M) {
	if connectAsChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// A fakeKeeper records each call as the line that an operator would type. If do is not nil, calls
// that wait call it.
type fakeKeeper struct {
	do func(ctx context.Context, progress func(string)) error

	mu    sync.Mutex
	calls []string

	applied []group.Bundle // by the last Apply
}

func (k *fakeKeeper) call(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls = append(k.calls, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (k *fakeKeeper) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.calls, "\n")
}

func (k *fakeKeeper) wait(ctx context.Context, progress func(string)) error {
	if k.do == nil {
		return nil
	}
	return k.do(ctx, progress)
}

func names(files []group.Bundle) string {
	var out []string
	for _, f := range files {
		out = append(out, fmt.Sprintf("%s(%s)", f.Name, f.HCL))
	}
	return strings.Join(out, " ")
}

func (k *fakeKeeper) Preview(ctx context.Context, files []group.Bundle) ([]group.Preview, error) {
	k.call("plan %s", names(files))
	return []group.Preview{{Group: "checkout", Steps: []string{"start web"}, Opens: []string{"any"}}}, k.wait(ctx, nil)
}

func (k *fakeKeeper) Apply(ctx context.Context, files []group.Bundle, progress func(string)) error {
	k.call("apply %s", names(files))
	k.applied = files
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Install(ctx context.Context, files []group.Bundle, progress func(string)) error {
	k.call("install %s", names(files))
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Remove(ctx context.Context, group string, progress func(string)) error {
	k.call("rm %s", group)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Restart(ctx context.Context, group, container string, progress func(string)) error {
	k.call("restart %s %s", group, container)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Stop(ctx context.Context, group string, progress func(string)) error {
	k.call("stop %s", group)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Start(ctx context.Context, group string, progress func(string)) error {
	k.call("start %s", group)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Purge(ctx context.Context, group string, progress func(string)) error {
	k.call("rm --volumes %s", group)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) RemoveFile(ctx context.Context, file string, volumes bool, progress func(string)) error {
	k.call("rm %s, volumes %v", file, volumes)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Rollback(ctx context.Context, group string, to int, progress func(string)) error {
	k.call("rollback %s %d", group, to)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) Wait(ctx context.Context, group string) (uint32, error) {
	k.call("wait %s", group)
	return 7, k.wait(ctx, nil)
}

func (k *fakeKeeper) Settle(ctx context.Context, group string, d time.Duration, progress func(string)) error {
	k.call("settle %s %s", group, d)
	return k.wait(ctx, progress)
}

func (k *fakeKeeper) History(_ context.Context, groupName string) ([]group.Generation, error) {
	k.call("history %s", groupName)
	if groupName == "gone" {
		return nil, group.ErrNoGroup
	}
	return generations, nil
}

func (k *fakeKeeper) Compare(_ context.Context, groupName string, before, now int) (group.Comparison, error) {
	k.call("diff %s %d %d", groupName, before, now)
	if before > len(generations) {
		return group.Comparison{}, group.ErrNoGeneration
	}
	return comparison, nil
}

func (k *fakeKeeper) Definition(_ context.Context, groupName string, number int) (group.Definition, error) {
	k.call("history %s %d", groupName, number)
	if number > len(generations) {
		return group.Definition{}, group.ErrNoGeneration
	}
	return group.Definition{Bundle: twoFiles[0]}, nil
}

func (k *fakeKeeper) Problems() []group.FileProblem {
	k.call("problems")
	return []group.FileProblem{{Path: "/groups.d/hand.hcl", Err: errors.New("hand.hcl:1:1: nonsense")}}
}

func (k *fakeKeeper) Status(groupName string) ([]group.Status, error) {
	k.call("status %s", groupName)
	if groupName == "gone" {
		return nil, group.ErrNoGroup
	}
	return []group.Status{{Name: "checkout", State: group.Running, Containers: []group.ContainerStatus{{Name: "web", PID: 7}}}}, nil
}

type execFunc func(ctx context.Context, req host.ExecRequest) (uint32, error)

func (f execFunc) Exec(ctx context.Context, req host.ExecRequest) (uint32, error) { return f(ctx, req) }

// A daemon is a server on its own socket, connected as in the real daemon.
type daemon struct {
	*Client
	keeper *fakeKeeper
	socket string
	stop   func() // ends Serve and waits for it
	log    *buffer
}

// startDaemon starts a daemon with cfg. Fakes replace what cfg lacks.
func startDaemon(t *testing.T, cfg ServerConfig) *daemon {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Listen(path, Access{})
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, cfg, path, l)
}

// serveOn is startDaemon with a listener of the test's.
func serveOn(t *testing.T, cfg ServerConfig, path string, l *Listener) *daemon {
	t.Helper()
	d := &daemon{keeper: &fakeKeeper{}, socket: path, log: &buffer{}}
	d.Client = NewClient(d.socket)
	if k, ok := cfg.Keeper.(*fakeKeeper); ok {
		d.keeper = k
	}
	cfg.Keeper = d.keeper
	if cfg.Exec == nil {
		cfg.Exec = execFunc(func(context.Context, host.ExecRequest) (uint32, error) { return 0, nil })
	}
	if cfg.Logs == nil {
		cfg.Logs = func(context.Context, LogRequest, func(LogLine) error) error { return nil }
	}
	if cfg.Events == nil {
		cfg.Events = func(context.Context, group.EventQuery, func(group.Event) error) error { return nil }
	}
	cfg.Log = slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.log)
		}
	})
	return d
}

// browser returns an HTTP client for the socket, like curl --unix-socket.
func (d *daemon) browser() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.socket)
	}}}
}

// A buffer is a bytes.Buffer that can be read and written at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// receive receives from c. It fails the test rather than wait for ever.
func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatalf("timed out waiting for %s", what)
	}
	return v
}
