package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

func TestEvents(t *testing.T) {
	status := uint32(137)
	happened := []group.Event{
		{Time: time.Date(2026, 11, 24, 8, 0, 0, 1, time.UTC), Group: "checkout", Container: "web", Kind: group.EventDenied, Text: "3 packets", Denial: &host.Denial{
			Container: "web", Protocol: "tcp", Destination: netip.MustParseAddrPort("[2001:db8::1]:443"), Packets: 3, Bytes: 180,
		}},
		{Time: time.Date(2026, 11, 24, 8, 0, 1, 0, time.UTC), Group: "checkout", Container: "web", Kind: group.EventRestarted, Text: "again", ExitStatus: &status},
	}
	queries := make(chan group.EventQuery, 1)
	d := startDaemon(t, ServerConfig{Events: func(_ context.Context, q group.EventQuery, emit func(group.Event) error) error {
		queries <- q
		for _, e := range happened {
			if err := emit(e); err != nil {
				return err
			}
		}
		return nil
	}})
	for _, want := range []group.EventQuery{
		{},
		{Group: "checkout", Kinds: []group.EventKind{group.EventDenied, group.EventRestarted}, Tail: -1},
		{Kinds: []group.EventKind{"of another version"}, Tail: 10, Follow: true},
	} {
		var got []group.Event
		if err := d.Events(t.Context(), want, func(e group.Event) error { got = append(got, e); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(happened, got, cmpopts.EquateComparable(host.Denial{})); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, <-queries); diff != "" {
			t.Errorf("query (-want +got):\n%s", diff)
		}
	}
}

func TestEventsFollow(t *testing.T) {
	ended := make(chan struct{}, 1)
	d := startDaemon(t, ServerConfig{Events: func(ctx context.Context, _ group.EventQuery, emit func(group.Event) error) error {
		if err := emit(group.Event{Group: "web", Kind: group.EventState, Text: "running"}); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- struct{}{}
		return nil
	}})
	follow := func(ctx context.Context, emit func() error) error {
		return d.Events(ctx, group.EventQuery{Follow: true}, func(group.Event) error { return emit() })
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := follow(ctx, func() error { cancel(); return nil }); err != nil {
		t.Errorf("the client ends it: got %v, want no error", err)
	}
	receive(t, "the end of the source", ended)

	full := errors.New("disk full")
	if err := follow(t.Context(), func() error { return full }); err != full {
		t.Errorf("emit fails: got %v, want %v", err, full)
	}
	receive(t, "the end of the source", ended)

	err := follow(t.Context(), func() error { go d.stop(); return nil })
	checkProblem(t, err, errStopping.Error(), errStopping.Hint)
}

func TestEventsRefuse(t *testing.T) {
	d := startDaemon(t, ServerConfig{})
	for _, query := range []string{"?follow=perhaps", "?tail=many", "?group=../x"} {
		resp, err := d.browser().Get("http://sallyport/v1/events" + query)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", query, resp.Status)
		}
	}
}
