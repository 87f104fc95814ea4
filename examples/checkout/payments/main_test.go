package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWorld(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler func(*world) http.HandlerFunc
		method  string
		body    string
		status  int
		answer  string
		printed string
	}{
		{
			"order", func(w *world) http.HandlerFunc { return w.charge }, http.MethodPost, "order 3\n",
			http.StatusOK, "receipt 1\n", "payment from 192.0.2.1: order 3\n",
		},
		{
			"plain call", func(w *world) http.HandlerFunc { return w.charge }, http.MethodGet, "",
			http.StatusOK, "receipt 1\n", "payment from 192.0.2.1: GET /\n",
		},
		{
			"order too large", func(w *world) http.HandlerFunc { return w.charge }, http.MethodPost, strings.Repeat("x", 2000),
			http.StatusBadRequest, "http: request body too large\n", "",
		},
		{
			"log", func(w *world) http.HandlerFunc { return w.ingest }, http.MethodPost, "one\ntwo\n",
			http.StatusNoContent, "", "log line from 192.0.2.1: one\nlog line from 192.0.2.1: two\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			rec := httptest.NewRecorder()
			req := httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body)) // comes from 192.0.2.1
			tt.handler(&world{out: &out})(rec, req)
			if rec.Code != tt.status || rec.Body.String() != tt.answer {
				t.Errorf("answered %d %q, want %d %q", rec.Code, rec.Body.String(), tt.status, tt.answer)
			}
			if out.String() != tt.printed {
				t.Errorf("printed %q, want %q", out.String(), tt.printed)
			}
		})
	}
}

func TestRunUntilToldToStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, "127.0.0.1:0", "127.0.0.1:0", io.Discard); err != nil {
		t.Error(err)
	}
}

func TestRunOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := run(t.Context(), l.Addr().String(), "127.0.0.1:0", io.Discard); err == nil {
		t.Error("served on a port that is taken")
	}
}
