package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"

	"github.com/sallyport/sallyport/shim/hint"
)

// get sends a request through the limits of a session.
func get(ctx context.Context, t *testing.T, s *Session, path, body string, status int) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://r.example"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
	return (&limitedTransport{next: next, session: s}).RoundTrip(r)
}

// So many layers are read at once, of all sessions together. Manifests don't wait.
func TestMaxConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("", Settings{MaxConcurrent: 2})
		var moves atomic.Int32
		s := r.Open(t.Context(), func() { moves.Add(1) })
		var going, done atomic.Int32
		var bodies []io.Closer
		results := make(chan *http.Response, 9)
		ctx, cancel := context.WithCancel(t.Context())
		for range 4 {
			go func() {
				resp, err := get(ctx, t, s, "/v2/a/blobs/sha256:1", "x", http.StatusOK)
				if err != nil {
					done.Add(1)
					return
				}
				going.Add(1)
				results <- resp
			}()
		}
		synctest.Wait()
		expect := func(want int32, when string) {
			t.Helper()
			synctest.Wait()
			if n := going.Load(); n != want {
				t.Errorf("%s: %d layers, want %d", when, n, want)
			}
		}
		expect(2, "at the start")
		if resp, err := get(ctx, t, s, "/v2/a/manifests/1", "x", http.StatusOK); err != nil || resp == nil {
			t.Errorf("manifest: %v", err)
		}
		bodies = append(bodies, (<-results).Body, (<-results).Body)
		bodies[0].Close()
		bodies[0].Close() // twice is once
		expect(3, "after one has ended")
		time.Sleep(3 * waitReport)
		if moves.Load() == 0 {
			t.Error("a layer that waits counts as stalled")
		}
		r.Set(Settings{MaxConcurrent: 3})
		expect(4, "after a reload")
		cancel()
		synctest.Wait()
		if r.limits.layers != 0 {
			t.Errorf("%d layers after the end of the pull", r.limits.layers)
		}
	})
}

// Settings are put in force while a layer begins: neither waits for the other.
func TestSetWhileLayersBegin(t *testing.T) {
	r := New("", Settings{})
	r.limits.mu.Lock() // as a layer that begins
	set, read := make(chan struct{}), make(chan struct{})
	go func() {
		r.Set(Settings{MaxConcurrent: 5})
		close(set)
	}()
	go func() {
		for r.settings().MaxConcurrent != 5 {
			runtime.Gosched()
		}
		close(read)
	}()
	for _, done := range []chan struct{}{read, set} {
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("stuck")
		}
		if done == read {
			r.limits.mu.Unlock()
		}
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("", Settings{Rate: 1 << 10})
		s := r.Open(t.Context(), nil)
		began := time.Now()
		read := func(ctx context.Context, path string) error {
			resp, err := get(ctx, t, s, path, strings.Repeat("x", 5<<10), http.StatusOK)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil && n != 5<<10 {
				t.Errorf("%d bytes", n)
			}
			return err
		}
		ends := make(chan error, 2)
		for _, path := range []string{"/v2/a/blobs/sha256:1", "/v2/b/manifests/1"} {
			go func() { ends <- read(t.Context(), path) }()
		}
		for range 2 {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("10 KiB at 1 KiB a second took %v", took)
		}
		if !s.Received() {
			t.Error("nothing received")
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := read(ctx, "/v2/a/blobs/sha256:1"); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		r.Set(Settings{})
		began = time.Now()
		if err := read(t.Context(), "/v2/a/blobs/sha256:1"); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v without a limit", err, time.Since(began))
		}
	})
}

func TestWindow(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	night, day := Window{22 * time.Hour, 6 * time.Hour}, Window{9 * time.Hour, 17*time.Hour + 30*time.Minute}
	for _, tt := range []struct {
		window  Window
		now     string
		open    bool
		changes string
	}{
		{night, "2026-03-01 21:59", false, "2026-03-01 22:00"},
		{night, "2026-03-01 22:00", true, "2026-03-02 06:00"},
		{night, "2026-03-02 05:59", true, "2026-03-02 06:00"},
		{night, "2026-03-02 06:00", false, "2026-03-02 22:00"},
		{night, "2026-03-28 23:00", true, "2026-03-29 06:00"}, // the clock goes forward at 2
		{night, "2026-10-24 23:00", true, "2026-10-25 06:00"}, // and back at 3
		{day, "2026-03-01 08:00", false, "2026-03-01 09:00"},
		{day, "2026-03-01 09:00", true, "2026-03-01 17:30"},
		{day, "2026-03-31 17:30", false, "2026-04-01 09:00"},
		{Window{}, "2026-03-31 17:30", true, ""},
	} {
		now, err := time.ParseInLocation("2006-01-02 15:04", tt.now, zone)
		if err != nil {
			t.Fatal(err)
		}
		open, changes := tt.window.at(now)
		text := ""
		if !changes.IsZero() {
			text = changes.Format("2006-01-02 15:04")
		}
		if open != tt.open || text != tt.changes {
			t.Errorf("%v at %s: %v until %q, want %v until %q", tt.window, tt.now, open, text, tt.open, tt.changes)
		}
	}
}

// Nothing is pulled while the window is closed, and a pull ends when it closes.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock begins at midnight UTC, 2000-01-01
		midnight := time.Now()
		hours := func(h int) time.Duration { return time.Duration(midnight.Hour()+h) * time.Hour % (24 * time.Hour) }
		r := New("", Settings{Window: Window{hours(2), hours(4)}})
		if _, _, err := r.Within(t.Context()); !errors.Is(err, errClosed) || !strings.Contains(hint.Of(err), "it opens at ") {
			t.Errorf("closed: %v, %q", err, hint.Of(err))
		}
		time.Sleep(3 * time.Hour)
		ctx, stop, err := r.Within(t.Context())
		if err != nil || ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		if cause := context.Cause(ctx); !errors.Is(cause, errClosed) || !strings.Contains(hint.Of(cause), "it opens at ") {
			t.Errorf("cut: %v", cause)
		}
		stop()
		r.Set(Settings{})
		ctx, stop, err = r.Within(t.Context())
		if err != nil || ctx.Err() != nil {
			t.Errorf("always: %v", err)
		}
		stop()
	})
}

func TestTries(t *testing.T) {
	cut := &url.Error{Op: "Get", URL: "https://r.example", Err: io.ErrUnexpectedEOF}
	refused := &url.Error{Op: "Get", URL: "https://r.example", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	failing := remoteerrors.ErrUnexpectedStatus{StatusCode: 503}
	type try struct {
		received bool
		err      error
		waits    int // 0: it is not tried again
	}
	for name, tries := range map[string][]try{
		"no link":                   {{false, refused, 0}},
		"a cut":                     {{true, cut, 1}, {false, refused, 2}, {false, refused, 4}, {false, refused, 0}},
		"cuts that bring something": {{true, cut, 1}, {true, cut, 1}, {true, cut, 1}, {true, cut, 1}, {true, cut, 1}, {false, cut, 2}},
		"a registry that fails":     {{false, failing, 1}, {false, failing, 2}, {false, failing, 4}, {false, failing, 0}},
		"too many requests":         {{false, remoteerrors.ErrUnexpectedStatus{StatusCode: 429}, 1}},
		"refused":                   {{false, remoteerrors.ErrUnexpectedStatus{StatusCode: 403}, 0}},
		"refused after a cut":       {{true, cut, 1}, {false, docker.ErrInvalidAuthorization, 0}},
		"stalled":                   {{false, ErrStalled, 0}},
		"stalled within a layer":    {{true, ErrStalled, 1}},
	} {
		var all Tries
		for i, tt := range tries {
			if waits, again := all.Again(tt.received, tt.err); waits != tt.waits || again != (tt.waits > 0) {
				t.Errorf("%s, try %d: %d, %v; want %d", name, i+1, waits, again, tt.waits)
			}
		}
	}
}
