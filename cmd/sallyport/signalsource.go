package main

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// recorder returns a function that records an event of an operator's act. An event that can't be
// written is logged and lost, and the act is done all the same.
func recorder(journal interface{ Record(...group.Event) error }, lost func(int), log *slog.Logger) func(group.Event) {
	return func(e group.Event) {
		if err := journal.Record(e); err != nil {
			log.Warn(err.Error(), "group", e.Group)
			lost(1)
		}
	}
}

// A signaller sends a signal to the program of a running container.
type signaller interface {
	Signal(ctx context.Context, group, container string, sig syscall.Signal) (dropped bool, err error)
}

// signalSource sends signals for the control socket, and records each.
func signalSource(runtime signaller, record func(group.Event)) func(context.Context, api.SignalRequest) (bool, error) {
	return func(ctx context.Context, req api.SignalRequest) (bool, error) {
		dropped, err := runtime.Signal(ctx, req.Group, req.Container, syscall.Signal(req.Signal))
		if err != nil {
			return false, err
		}
		text := fmt.Sprintf("%s sent it %s", req.Caller, host.SignalName(req.Signal))
		if dropped {
			text += ", which its program has no handler for"
		}
		record(group.Event{Group: req.Group, Container: req.Container, Kind: group.EventSignal, Text: text})
		return dropped, nil
	}
}
