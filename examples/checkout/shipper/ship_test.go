package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A service is a log service that fails on demand.
type service struct {
	*httptest.Server
	status int
	got    string
}

func newService(t *testing.T) *service {
	s := &service{status: http.StatusNoContent}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.got += string(b)
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestShipSendsAgainWhatWasNotConfirmed(t *testing.T) {
	l, to := newLog(t), newService(t)
	s := &shipper{url: to.URL, tail: &tail{path: l.path}}
	l.append("one\n")
	to.status = http.StatusBadGateway
	if err := s.ship(t.Context()); err == nil {
		t.Error("an answer of 502 is no error")
	}
	l.append("two\n")
	to.status, to.got = http.StatusNoContent, ""
	for range 3 {
		if err := s.ship(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if to.got != "one\ntwo\n" {
		t.Errorf("the service got %q, want both lines once", to.got)
	}
}

func TestRunTellsOfTroubleOnce(t *testing.T) {
	l := newLog(t)
	l.append("one\n")
	statuses := []int{500, 500, 500, 204}
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(statuses[0])
		statuses = statuses[1:]
	}))
	defer to.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &until{text: "shipping again", then: cancel}
	s := &shipper{url: to.URL, tail: &tail{path: l.path}, out: out}
	s.run(ctx, time.Millisecond)
	if got, want := out.String(), "holding lines back: 500 Internal Server Error\nshipping again\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
}

// until calls then when text is written to it.
type until struct {
	bytes.Buffer
	text string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(u.text)) {
		u.then()
	}
	return u.Buffer.Write(p)
}
