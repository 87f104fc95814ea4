package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
)

// waitReport is the time between two reports of a layer that waits for its turn. It is much shorter
// than the time after which a pull counts as stalled.
const waitReport = 10 * time.Second

// limits are shared by all pulls.
type limits struct {
	mu     sync.Mutex
	layers int           // that are fetched now
	freed  chan struct{} // closed when one has ended, or when more are allowed
	next   time.Time     // when the next byte may be read
}

// begin waits until another layer may be fetched. It calls moved now and then, since a layer that
// waits has not stalled. most returns how many may be fetched at once. 0 is no limit.
func (l *limits) begin(ctx context.Context, most func() int, moved func()) error {
	for {
		l.mu.Lock()
		if n := most(); n == 0 || l.layers < n {
			l.layers++
			l.mu.Unlock()
			return nil
		}
		if l.freed == nil {
			l.freed = make(chan struct{})
		}
		freed := l.freed
		l.mu.Unlock()
		report := time.NewTimer(waitReport)
		select {
		case <-freed:
		case <-report.C:
			moved()
		case <-ctx.Done():
		}
		report.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// end lets another layer begin.
func (l *limits) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.layers--
	l.wake()
}

// wake lets all that wait look again. The caller holds mu.
func (l *limits) wake() {
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}

// reserve returns how long to wait before the next read, after n bytes at a rate in bytes per
// second.
func (l *limits) reserve(now time.Time, n int, rate int64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return l.next.Sub(now)
}

// A slowBody reads a layer or a manifest at the rate that is in force.
type slowBody struct {
	io.ReadCloser
	ctx    context.Context
	limits *limits
	rate   func() int64 // bytes per second; 0 is no limit
	got    func()       // optional: called with each piece
	ended  func()       // optional: called with Close
}

// A read at a limited rate has so many bytes that it takes about a tenth of a second, so that other
// pulls have their share and a cancelled one ends soon.
const readsPerSecond = 10

func (b *slowBody) Read(p []byte) (int, error) {
	rate := b.rate()
	if rate > 0 {
		p = p[:min(int64(len(p)), max(rate/readsPerSecond, 1))]
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.got != nil {
		b.got()
	}
	if rate > 0 && n > 0 {
		timer := time.NewTimer(b.limits.reserve(time.Now(), n, rate))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-b.ctx.Done():
			return n, context.Cause(b.ctx)
		}
	}
	return n, err
}

func (b *slowBody) Close() error {
	if b.ended != nil {
		b.ended()
	}
	return b.ReadCloser.Close()
}

// A limitedTransport keeps the limits on what is received.
type limitedTransport struct {
	next    http.RoundTripper
	session *Session
}

func (t *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	registry := t.session.of
	l := &registry.limits
	var ended, got func()
	if r.Method == http.MethodGet && isBlob(r) {
		got = func() { t.session.received.Store(true) }
		if err := l.begin(r.Context(), func() int { return registry.settings().MaxConcurrent }, t.session.moved); err != nil {
			return nil, err
		}
		ended = sync.OnceFunc(l.end)
		context.AfterFunc(r.Context(), ended) // a body that is never closed
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		if ended != nil {
			ended()
		}
		return nil, err
	}
	t.session.answered(r.URL.Host, resp.StatusCode)
	if resp.StatusCode >= 300 { // it is elsewhere, or not to be had
		if got = nil; ended != nil {
			ended()
		}
	}
	resp.Body = &slowBody{ReadCloser: resp.Body, ctx: r.Context(), limits: l, rate: func() int64 { return registry.settings().Rate }, got: got, ended: ended}
	return resp, nil
}

// isBlob reports whether a request is for a layer, or for where the registry keeps one.
func isBlob(r *http.Request) bool {
	return strings.Contains(firstOf(r).URL.Path, "/blobs/")
}

// A Window is a time of each day by the host's clock, from midnight. It goes over midnight if it
// ends before it begins. Without a length it is always.
type Window struct{ From, To time.Duration }

// at returns whether the window is open, and when that changes. The time is zero if it never does.
func (w Window) at(now time.Time) (open bool, changes time.Time) {
	if w.From == w.To {
		return true, time.Time{}
	}
	on := func(days int, d time.Duration) time.Time { // by the clock: a day may have 23 hours
		return time.Date(now.Year(), now.Month(), now.Day()+days, int(d/time.Hour), int(d/time.Minute)%60, 0, 0, now.Location())
	}
	for day := -1; day <= 1; day++ {
		from, to := on(day, w.From), on(day, w.To)
		if w.To < w.From {
			to = on(day+1, w.To)
		}
		switch {
		case now.Before(from):
			return false, from
		case now.Before(to):
			return true, to
		}
	}
	return false, on(2, w.From)
}

// errClosed is the reason why nothing is pulled for now.
var errClosed = errors.New("nothing is pulled outside of the window")

// Within returns a context that ends when the window of pulls closes. It returns an error while the
// window is closed. The caller calls stop at the end.
func (r *Registries) Within(ctx context.Context) (_ context.Context, stop func(), err error) {
	now := time.Now()
	open, changes := r.settings().Window.at(now)
	if !open {
		return ctx, func() {}, closed(changes)
	}
	if changes.IsZero() {
		return ctx, func() {}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(changes.Sub(now), func() {
		_, next := r.settings().Window.at(changes)
		cancel(closed(next))
	})
	return ctx, func() { timer.Stop(); cancel(nil) }, nil
}

func closed(opens time.Time) error {
	text := errClosed
	advice := "it opens at " + opens.Format("Monday 15:04") + "; to pull now, change registries.window in the daemon's configuration and reload it"
	return &hint.Error{Err: text, Hint: advice}
}
