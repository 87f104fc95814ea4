// Command payments is the world outside the example's group: a payments service and a log service,
// on two ports. It prints each request with its source, so that you can see what came through the
// door.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	payments := flag.String("payments", ":8080", "address of the payments service")
	logs := flag.String("logs", ":8081", "address of the log service")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *payments, *logs, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, payments, logs string, out io.Writer) error {
	w := &world{out: out}
	done := make(chan error, 2)
	for addr, handler := range map[string]http.HandlerFunc{payments: w.charge, logs: w.ingest} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		server := http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go func() { done <- server.Serve(l) }()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// A world answers, and prints a line for each order and each line of a log.
type world struct {
	mu       sync.Mutex
	out      io.Writer
	receipts int
}

func (w *world) charge(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<10))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	order := strings.TrimSpace(string(body))
	if order == "" {
		order = r.Method + " " + r.URL.Path
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.receipts++
	fmt.Fprintf(w.out, "payment from %s: %s\n", host(r), order)
	fmt.Fprintf(rw, "receipt %d\n", w.receipts)
}

func (w *world) ingest(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := bufio.NewScanner(http.MaxBytesReader(rw, r.Body, 1<<20))
	for lines.Scan() {
		fmt.Fprintf(w.out, "log line from %s: %s\n", host(r), lines.Text())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}

// host returns the address of the caller, without the port.
func host(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return h
}
