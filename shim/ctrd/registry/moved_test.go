package registry

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

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
