package main

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

type fakeSignaller struct {
	dropped bool
	err     error
}

func (s fakeSignaller) Signal(context.Context, string, string, syscall.Signal) (bool, error) {
	return s.dropped, s.err
}

// Each signal that was sent has an event, with who sent it. One that was not sent has none.
func TestSignalsAreRecorded(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent fakeSignaller
		text string
	}{
		{"sent", fakeSignaller{}, "uid 1000 sent it SIGHUP"},
		{"dropped", fakeSignaller{dropped: true}, "uid 1000 sent it SIGHUP, which its program has no handler for"},
		{"not sent", fakeSignaller{err: errors.New("it doesn't run")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got, want []group.Event
			if tt.text != "" {
				want = []group.Event{{Group: "shop", Container: "web", Kind: group.EventSignal, Text: tt.text}}
			}
			send := signalSource(tt.sent, func(e group.Event) { got = append(got, e) })
			dropped, err := send(t.Context(), api.SignalRequest{Group: "shop", Container: "web", Signal: 1, Caller: api.Caller{UID: 1000, Known: true}})
			if dropped != tt.sent.dropped || err != tt.sent.err {
				t.Errorf("%t, %v", dropped, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
