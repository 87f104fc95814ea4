package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// execFunc implements host.Execer.
type execFunc func(ctx context.Context, req host.ExecRequest) (uint32, error)

func (f execFunc) Exec(ctx context.Context, req host.ExecRequest) (uint32, error) { return f(ctx, req) }

var checkProbe = spec.Probe{Exec: []string{"check", "-q"}, Timeout: time.Second}

func TestRun(t *testing.T) {
	prints := func(text string, status uint32) execFunc {
		return func(_ context.Context, req host.ExecRequest) (uint32, error) {
			req.Started()
			for chunk := range strings.SplitAfterSeq(text, "o") {
				_, _ = io.WriteString(req.Stderr, chunk)
			}
			return status, nil
		}
	}
	hangs := func(ctx context.Context, req host.ExecRequest) (uint32, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	for _, tt := range []struct {
		name  string
		exec  execFunc
		want  string
		took  time.Duration
		blame bool // the error counts against the container
	}{
		{"success", prints("ok", 0), "", 0, false},
		{"failure", prints("", 3), "exec check -q: status 3", 0, true},
		{"the last line of its output", prints("looking\nno disk\n\n", 1), "exec check -q: status 1: no disk", 0, true},
		{"a long output", prints(strings.Repeat("o\n", 9000)+"no disk", 1), "exec check -q: status 1: no disk", 0, true},
		{
			"no end", func(ctx context.Context, req host.ExecRequest) (uint32, error) {
				req.Started()
				return hangs(ctx, req)
			}, "exec check -q: it did not end within its timeout of 1s, and was killed", time.Second, true,
		},
		{
			"no end, with output", func(ctx context.Context, req host.ExecRequest) (uint32, error) {
				req.Started()
				_, _ = io.WriteString(req.Stdout, "locked by 12\n")
				return hangs(ctx, req)
			}, "exec check -q: it did not end within its timeout of 1s, and was killed: locked by 12", time.Second, true,
		},
		{
			"the start does not count", func(ctx context.Context, req host.ExecRequest) (uint32, error) {
				time.Sleep(5 * time.Second)
				req.Started()
				time.Sleep(time.Second / 2)
				return 0, ctx.Err()
			}, "", 5*time.Second + time.Second/2, false,
		},
		{"no start", hangs, "exec check -q: it could not be asked: containerd did not start it within 30s", 30 * time.Second, false},
		{
			"containerd is down", func(context.Context, host.ExecRequest) (uint32, error) { return 0, errors.New("connection refused") },
			"exec check -q: it could not be asked: connection refused", 0, false,
		},
		{
			"the container has a file that the runtime would wait at", func(context.Context, host.ExecRequest) (uint32, error) {
				return 0, fmt.Errorf("%w: a pipe", host.ErrUserFile)
			}, "exec check -q: " + host.ErrUserFile.Error() + ": a pipe", 0, true,
		},
		{
			"the container ended while the probe ran", func(_ context.Context, req host.ExecRequest) (uint32, error) {
				req.Started()
				return 0, errors.New("ttrpc: closed")
			}, "exec check -q: it could not be asked: ttrpc: closed", 0, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := New(layout.Layout{}, tt.exec).Probe(t.Context(), "shop", "web", checkProbe)
				if diff := cmp.Diff(tt.want, hint.Text(err)); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if blame := err != nil && !errors.Is(err, host.ErrNotAsked); blame != tt.blame {
					t.Errorf("error counts against the container: %v, want %v", blame, tt.blame)
				}
			})
		})
	}
}

func TestRunAsksTheContainer(t *testing.T) {
	p := New(layout.Layout{}, execFunc(func(_ context.Context, req host.ExecRequest) (uint32, error) {
		if got := fmt.Sprint(req.Group, " ", req.Container, req.Args, req.TTY, req.Stdin); got != "shop web[check -q] false <nil>" {
			return 0, errors.New(got)
		}
		return 0, nil
	}))
	if err := p.Probe(t.Context(), "shop", "web", checkProbe); err != nil {
		t.Error(err)
	}
}

// A program counts as starting until it ends, and for a second at most.
func TestRunLimitsStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		p := New(layout.Layout{}, execFunc(func(ctx context.Context, req host.ExecRequest) (uint32, error) {
			req.Started()
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			wait := time.Millisecond
			if req.Container == "slow" {
				wait = time.Hour
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			return 0, nil
		}))
		long := checkProbe
		long.Timeout = 2 * time.Hour
		began := time.Now()
		done := make(chan time.Duration, 40)
		probe := func(container string) {
			if err := p.Probe(t.Context(), "shop", container, long); err != nil {
				t.Error(err)
			}
			done <- time.Since(began)
		}
		for range maxStarts {
			go probe("slow")
		}
		synctest.Wait()
		for range 40 - maxStarts {
			go probe("web")
		}
		var first, last time.Duration
		for i := range 40 {
			last = <-done
			if i == 0 {
				first = last
			}
		}
		if first != time.Second+time.Millisecond || last != time.Hour {
			t.Errorf("the first ended after %s, the last after %s", first, last)
		}
		if most.Load() != 2*maxStarts {
			t.Errorf("%d ran at once, want %d", most.Load(), 2*maxStarts)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	p := New(layout.Layout{}, execFunc(func(ctx context.Context, req host.ExecRequest) (uint32, error) { return 0, nil }))
	for range maxStarts {
		p.starting <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Probe(ctx, "shop", "web", checkProbe); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
