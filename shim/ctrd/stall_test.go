package ctrd

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStallWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, w := watchStall(t.Context(), time.Minute)
		defer w.stop()
		for range 10 {
			time.Sleep(50 * time.Second)
			w.moved()
		}
		if err := ctx.Err(); err != nil {
			t.Fatalf("stalled while moving: %v", err)
		}
		time.Sleep(61 * time.Second)
		if err := context.Cause(ctx); !errors.Is(err, errStalled) {
			t.Errorf("cause %v", err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCountingTransport(t *testing.T) {
	moves := 0
	next := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(strings.NewReader("layer"))}, nil
	})
	resp, err := (&countingTransport{next: next, moved: func() { moves++ }}).RoundTrip(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != "layer" || moves != 2 {
		t.Errorf("%q, %v, %d moves, want 2: the answer and its one piece", b, err, moves)
	}
	failing := roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrClosedPipe })
	if _, err := (&countingTransport{next: failing, moved: func() { t.Error("moved") }}).RoundTrip(&http.Request{}); err == nil {
		t.Error("no error")
	}
}
