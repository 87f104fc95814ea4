package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

type config struct {
	payments string        // required: URL of the payments service
	logFile  string        // required: where each order leaves a line
	listen   string        // optional: address of the shop's page; empty is 127.0.0.1:8080
	every    time.Duration // required: between two orders
}

// A shop charges orders one after another. Its page shows the number of orders and the last
// outcome.
type shop struct {
	payments string
	log      io.Writer
	client   http.Client

	mu     sync.Mutex
	orders int
	last   string
}

// serve takes orders until ctx ends.
func serve(ctx context.Context, c config, stdout io.Writer) error {
	if c.payments == "" || c.logFile == "" {
		return errors.New("PAYMENTS_URL and LOG_FILE must be set")
	}
	if c.listen == "" {
		c.listen = "127.0.0.1:8080"
	}
	log := &logFile{path: c.logFile, limit: 1 << 20}
	defer log.Close()
	s := &shop{payments: c.payments, log: log, client: http.Client{Timeout: 2 * time.Second}}

	l, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	server := http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	fmt.Fprintf(stdout, "taking orders; page on %s, payments at %s\n", l.Addr(), c.payments)

	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		if err := s.order(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case err := <-done:
			return err
		case <-ctx.Done():
			fmt.Fprintln(stdout, "closing")
			return server.Close()
		}
	}
}

// order charges the next order. An order that can't be charged is no error: it goes into the log.
func (s *shop) order(ctx context.Context) error {
	s.mu.Lock()
	s.orders++
	n := s.orders
	s.mu.Unlock()

	outcome := fmt.Sprintf("order %d ", n)
	if receipt, err := s.charge(ctx, n); err != nil {
		outcome += "not paid: " + err.Error()
	} else {
		outcome += "paid, " + receipt
	}
	s.mu.Lock()
	s.last = outcome
	s.mu.Unlock()
	_, err := fmt.Fprintf(s.log, "%s %s\n", time.Now().UTC().Format(time.RFC3339), outcome)
	return err
}

// charge asks the payments service for a receipt.
func (s *shop) charge(ctx context.Context, order int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.payments, strings.NewReader(fmt.Sprintf("order %d\n", order)))
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return strings.TrimSpace(string(body)), nil
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(w, "checkout: %d orders; %s\n", s.orders, s.last)
}
