package api

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

func TestSignal(t *testing.T) {
	d := startDaemon(t, ServerConfig{Signal: func(_ context.Context, got SignalRequest) (bool, error) {
		want := SignalRequest{"checkout", "web", 37, Caller{uint32(os.Geteuid()), true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return true, nil
	}})
	got, err := d.Signal(t.Context(), "checkout", "web", 37)
	if diff := cmp.Diff(SentSignal{"checkout", "web", "SIGRTMIN+3", 37, true}, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := d.Signal(t.Context(), "checkout", "web", 65); err == nil || err.Error() != "65 is not the number of a signal, which is 1 to 64" {
		t.Error(err)
	}
	if _, err := d.Signal(t.Context(), "checkout", "", 1); !errors.Is(err, group.ErrNoContainer) {
		t.Error(err)
	}
}
