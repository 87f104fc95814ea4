package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// payments is a payments service. It answers with a status and a receipt, and remembers the orders.
func payments(t *testing.T, status int) (url string, orders *[]string) {
	t.Helper()
	orders = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*orders = append(*orders, string(body))
		w.WriteHeader(status)
		io.WriteString(w, "receipt 7\n")
	}))
	t.Cleanup(s.Close)
	return s.URL, orders
}

// refusing returns a URL at which no process listens.
func refusing(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Close()
	return s.URL
}

func TestOrder(t *testing.T) {
	paid, orders := payments(t, http.StatusOK)
	broken, _ := payments(t, http.StatusBadGateway)
	for _, tt := range []struct {
		name, url, want string
	}{
		{"paid", paid, "order 1 paid, receipt 7"},
		{"broken service", broken, "order 1 not paid: 502 Bad Gateway"},
		{"no service", refusing(t), "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := &shop{payments: tt.url, log: &log}
			if err := s.order(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), tt.want) || !strings.HasSuffix(log.String(), "\n") {
				t.Errorf("logged %q, want a line with %q", log.String(), tt.want)
			}
			page := httptest.NewRecorder()
			s.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", nil))
			if got := page.Body.String(); !strings.Contains(got, "checkout: 1 orders") || !strings.Contains(got, tt.want) {
				t.Errorf("page says %q, want the count and %q", got, tt.want)
			}
		})
	}
	if len(*orders) != 1 || (*orders)[0] != "order 1\n" {
		t.Errorf("the service was sent %q, want one order", *orders)
	}
}

func TestOrderFailsWhenItCannotLog(t *testing.T) {
	url, _ := payments(t, http.StatusOK)
	s := &shop{payments: url, log: &logFile{path: filepath.Join(t.TempDir(), "none", "log")}}
	if err := s.order(t.Context()); err == nil {
		t.Error("an order without a trace is no error")
	}
}

func TestServeUntilToldToStop(t *testing.T) {
	url, _ := payments(t, http.StatusOK)
	path := filepath.Join(t.TempDir(), "orders.log")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := serve(ctx, config{payments: url, logFile: path, listen: "127.0.0.1:0", every: time.Hour}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "closing\n") {
		t.Errorf("said %q, want that it closes", out.String())
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestServeNeedsSettings(t *testing.T) {
	if err := serve(t.Context(), config{}, io.Discard); err == nil {
		t.Error("served without an address of the payments service")
	}
}

func TestTry(t *testing.T) {
	url, _ := payments(t, http.StatusOK)
	var out bytes.Buffer
	if err := try(t.Context(), url, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "200 OK after ") || !strings.HasSuffix(got, ": receipt 7\n") {
		t.Errorf("said %q", got)
	}
	err := try(t.Context(), refusing(t), &out)
	if err == nil || !strings.HasPrefix(err.Error(), "failed after ") || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("error is %v, want how long it took and that it was refused", err)
	}
}

func TestRun(t *testing.T) {
	url, _ := payments(t, http.StatusOK)
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"nothing", nil, 2},
		{"unknown", []string{"sell"}, 2},
		{"try", []string{"try", url}, 0},
		{"try a closed port", []string{"try", refusing(t)}, 1},
		{"serve without settings", []string{"serve"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(t.Context(), tt.args, func(string) string { return "" }, io.Discard, io.Discard); got != tt.want {
				t.Errorf("exit status %d, want %d", got, tt.want)
			}
		})
	}
}
