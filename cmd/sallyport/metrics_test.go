package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/layout"
)

// A syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// An endpointHarness runs an endpoint that answers every request with "here".
type endpointHarness struct {
	t *testing.T
	*metricsEndpoint
	log *syncBuffer
}

func runEndpoint(t *testing.T, address string, access api.Access) *endpointHarness {
	t.Helper()
	log := &syncBuffer{}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })
	e := newMetricsEndpoint(hello, slog.New(slog.NewTextHandler(log, nil)), address, access)
	e.retry = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { e.run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return &endpointHarness{t, e, log}
}

func (h *endpointHarness) change(address string, access api.Access) error {
	commit, _, err := h.prepare(address, access)
	if err == nil {
		commit()
	}
	return err
}

// ask returns the answer of what listens at an address, or "".
func ask(address string) string {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
	answer, err := client.Get("http://sallyport/metrics")
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

// becomes waits until an address gives that answer.
func (h *endpointHarness) becomes(address, want string) {
	h.t.Helper()
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got = ask(address); got == want {
			return
		}
	}
	h.t.Errorf("%s answers %q, want %q; log:\n%s", address, got, want, h.log)
}

// freePorts returns addresses whose ports are free now.
func freePorts(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// An address changes while the daemon runs. One that can't be opened is refused, and the one before
// serves on.
func TestMetricsMove(t *testing.T) {
	ports := freePorts(t, 3)
	socket := filepath.Join(t.TempDir(), "m.sock")
	h := runEndpoint(t, "", api.Access{})
	for _, address := range []string{ports[0], ports[1], socket, ports[0], "", socket} {
		before := h.address
		if err := h.change(address, api.Access{}); err != nil {
			t.Fatal(err)
		}
		if address != "" {
			h.becomes(address, "here")
		}
		if before != "" {
			h.becomes(before, "")
		}
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	other, err := net.Listen("tcp", ports[2])
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := h.change(ports[2], api.Access{}); err == nil || !strings.Contains(err.Error(), "open the port of the metrics: listen tcp "+ports[2]+": bind: address already in use") || !strings.Contains(hintOf(err), "ss -ltnp") {
		t.Errorf("a port in use: %v, hint %q", err, hintOf(err))
	}
	if err := h.change("/proc/none/m.sock", api.Access{}); err == nil {
		t.Error("a socket in no folder is accepted")
	}
	h.becomes(socket, "here")
	if why := h.why(); why != "" {
		t.Errorf("served, and the problem is %q", why)
	}
	// What was prepared and given up is closed.
	_, cancel, err := h.prepare(ports[0], api.Access{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if l, err := net.Listen("tcp", ports[0]); err != nil {
		t.Error(err)
	} else {
		_ = l.Close()
	}
	h.becomes(socket, "here")
}

// The daemon itself has the port of the address that is wanted: it moves over.
func TestMetricsMoveOnOnePort(t *testing.T) {
	port := freePorts(t, 1)[0]
	everywhere := strings.Replace(port, "127.0.0.1", "0.0.0.0", 1)
	h := runEndpoint(t, port, api.Access{})
	h.becomes(port, "here")
	if err := h.change(everywhere, api.Access{}); err != nil {
		t.Fatal(err)
	}
	h.becomes(strings.Replace(port, "127.0.0.1", "127.0.0.2", 1), "here")
	if log := h.log.String(); !strings.Contains(log, "other hosts can read the metrics here") {
		t.Errorf("no warning of an open address:\n%s", log)
	}
}

// At the start a port in use ends no daemon. It is named once, and opened as soon as it is free.
func TestMetricsPortInUse(t *testing.T) {
	port := freePorts(t, 1)[0]
	other, err := net.Listen("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	h := runEndpoint(t, port, api.Access{})
	for deadline := time.Now().Add(time.Minute); h.why() == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if why := h.why(); !strings.Contains(why, "address already in use") {
		t.Errorf("the problem is %q", why)
	}
	for range 20 { // further tries are not logged
		h.listener()
	}
	_ = other.Close()
	h.becomes(port, "here")
	if log := h.log.String(); strings.Count(log, "metrics are not served, trying again") != 1 || !strings.Contains(log, "ss -ltnp") {
		t.Errorf("log:\n%s", log)
	}
	if why := h.why(); why != "" {
		t.Errorf("served, and the problem is still %q", why)
	}
}

// A listener that fails while it serves is opened again, after a pause.
func TestMetricsListenerFails(t *testing.T) {
	port := freePorts(t, 1)[0]
	h := runEndpoint(t, port, api.Access{})
	h.becomes(port, "here")
	h.mu.Lock()
	_ = h.open.Close()
	h.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(h.log.String(), "metrics are not served any more") && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	h.becomes(port, "here")
	if log := h.log.String(); strings.Count(log, "metrics are served") != 2 || strings.Count(log, "metrics are not served any more") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

// A socket that a killed daemon left is replaced. Its mode and group let only those connect who may
// read the control socket, and a reload changes them.
func TestMetricsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	mode := func(want os.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode %v, %v, want %v", info.Mode().Perm(), err, want)
		}
	}
	h := runEndpoint(t, path, api.Access{})
	h.becomes(path, "here")
	mode(0o600)
	readers := uint32(os.Getegid())
	if err := h.change(path, api.Access{Readers: &readers}); err != nil {
		t.Fatal(err)
	}
	mode(0o660)
	h.becomes(path, "here")
	if err := h.change("", api.Access{}); err != nil {
		t.Fatal(err)
	}
	h.becomes(path, "")
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err = os.Stat(path); os.IsNotExist(err) {
			return
		}
	}
	t.Errorf("the socket is left: %v", err)
}

func TestMetricsSetting(t *testing.T) {
	for _, tt := range []struct{ arg, want, wantErr string }{
		{"--metrics-listen=off", "", ""},
		{"--metrics-listen=127.0.0.1:9469", "127.0.0.1:9469", ""},
		{"--metrics-listen=:9469", "", `--metrics-listen: ":9469" is neither an address and a port`},
	} {
		c, command := parsed(t, "--root", t.TempDir(), "daemon", tt.arg)
		s, err := c.Instance.settings(command, &c.Daemon.daemonFlags)
		got := ""
		if err == nil {
			got = s.metricsAddress()
		}
		if got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: %q, %v", tt.arg, got, err)
		}
	}
}

func TestOutputSizes(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	sizes := outputSizes(l)
	if _, _, ok := sizes("shop", "web"); ok {
		t.Error("there is no output")
	}
	if err := os.Mkdir(filepath.Join(l.LogDir, "shop"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(l.LogPath("shop", "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 1<<30); err != nil { // all before it is a hole
		t.Fatal(err)
	}
	writeText(t, l.ErrLogPath("shop", "web"), "12345")
	printed, stored, ok := sizes("shop", "web")
	if !ok || printed != 1<<30+1+5 || stored == 0 || stored > 1<<20 {
		t.Errorf("printed %d, stored %d, %v", printed, stored, ok)
	}
}
