package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/metrics"
)

// listenForMetrics opens a port, or a unix socket for those who may read the control socket. The
// daemon must have no more than one of them at an address.
func listenForMetrics(address string, access api.Access) (net.Listener, error) {
	if strings.HasPrefix(address, "/") {
		return api.ListenFor("metrics socket", address, access)
	}
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, &hint.Error{Err: fmt.Errorf("open the port of the metrics: %w", err), Hint: "\"ss -ltnp\" shows who has the port; end that program, or choose another port"}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return nil, &hint.Error{Err: fmt.Errorf("open the port of the metrics: %w", err), Hint: "the host doesn't have the address now; \"ip address\" lists those that it has"}
	case err != nil:
		return nil, fmt.Errorf("open the port of the metrics: %w", err)
	}
	return l, nil
}

// metricsRetry is the time between two attempts to open a port that is in use, or whose address the
// host doesn't have yet.
const metricsRetry = 5 * time.Second

// A metricsEndpoint serves metrics at one address, or at none, and can change it. Metrics are not
// worth a daemon: it goes on if the address can't be opened, and tries again.
type metricsEndpoint struct {
	handler http.Handler
	log     *slog.Logger
	retry   time.Duration
	changed chan struct{} // holds one: the address is another

	mu      sync.Mutex
	address string // empty: none
	access  api.Access
	open    net.Listener // nil: not open
	problem string       // why not
}

func newMetricsEndpoint(h http.Handler, log *slog.Logger, address string, access api.Access) *metricsEndpoint {
	return &metricsEndpoint{handler: h, log: log, retry: metricsRetry, changed: make(chan struct{}, 1), address: address, access: access}
}

// run serves until ctx ends.
func (e *metricsEndpoint) run(ctx context.Context) {
	for ctx.Err() == nil {
		if l := e.listener(); l != nil && e.serve(ctx, l) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.changed:
		case <-time.After(e.retry):
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open != nil { // it was changed at the end
		_ = e.open.Close()
	}
}

// listener returns the open listener, and opens one if there is none. Nil means that none is
// wanted, or that it could not be opened.
func (e *metricsEndpoint) listener() net.Listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open != nil || e.address == "" {
		return e.open
	}
	l, err := listenForMetrics(e.address, e.access)
	if text := hint.Text(err); err != nil && text != e.problem {
		e.log.Error("metrics are not served, trying again", "error", text, "hint", hintOf(err))
	}
	if e.problem = hint.Text(err); err != nil {
		return nil
	}
	e.opened(l)
	return l
}

// opened takes a listener over. The caller holds mu.
func (e *metricsEndpoint) opened(l net.Listener) {
	e.open, e.problem = l, ""
	e.log.Info("metrics are served", "address", e.address)
	if exposed(e.address) {
		e.log.Warn("other hosts can read the metrics here, without a password", "address", e.address)
	}
}

// exposed reports whether others than this host may reach an address.
func exposed(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && !at.Addr().Unmap().IsLoopback()
}

// serve serves on l until ctx ends, another address is wanted, or l fails. It reports whether l has
// not failed.
func (e *metricsEndpoint) serve(ctx context.Context, l net.Listener) bool {
	serving, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer end()
	if socket, ok := l.(*api.Listener); ok {
		all.Go(func() { socket.Keep(serving, e.log) })
	}
	failed := make(chan error, 1)
	all.Go(func() { failed <- metrics.Serve(serving, l, e.handler, e.log) })
	for e.wants(l) {
		select {
		case <-ctx.Done():
			return true
		case <-e.changed:
		case err := <-failed:
			return !e.lost(l, err)
		}
	}
	return true
}

// wants reports whether l is the listener that is to be served.
func (e *metricsEndpoint) wants(l net.Listener) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open == l
}

// lost gives a listener up that has failed, and reports whether it has. One that was closed for
// another address has not.
func (e *metricsEndpoint) lost(l net.Listener, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open != l {
		return false
	}
	e.open, e.problem = nil, hint.Text(err)
	e.log.Error("metrics are not served any more, trying again", "error", e.problem)
	return true
}

// prepare gets ready for another address or access. commit changes to it, and cancel does not. One
// of them must be called. An address that can't be opened is an error, unless the daemon itself has
// its port: then commit begins to try.
func (e *metricsEndpoint) prepare(address string, access api.Access) (commit, cancel func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	same := e.address == address
	var next net.Listener
	if !same && address != "" {
		next, err = listenForMetrics(address, access)
		if err != nil && !(errors.Is(err, unix.EADDRINUSE) && samePort(e.address, address)) {
			return nil, nil, err
		}
	}
	cancel = func() {
		if next != nil {
			_ = next.Close()
		}
	}
	commit = func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.access = access
		if socket, ok := e.open.(*api.Listener); ok && same {
			if err := socket.Admit(access); err != nil {
				e.log.Error("the metrics socket admits whom it did before", "error", err)
			}
		}
		if same {
			return
		}
		if e.address, e.problem = address, ""; e.open != nil {
			_ = e.open.Close()
			e.open = nil
		}
		switch {
		case next != nil:
			e.opened(next)
		case address == "":
			e.log.Info("metrics are off")
		}
		select {
		case e.changed <- struct{}{}:
		default: // run has not seen the last change yet
		}
	}
	return commit, cancel, nil
}

// samePort reports whether two addresses have the same port.
func samePort(a, b string) bool {
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	return errX == nil && errY == nil && x.Port() == y.Port()
}

// why returns why the metrics that are asked for are not served, or "".
func (e *metricsEndpoint) why() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.problem
}
