package main

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
)

// eventSource reads the journal for the control socket. A removed group still has events. A group
// that was never known is an error, rather than an empty list.
func eventSource(events api.EventSource, status func(group string) ([]shim.GroupStatus, error)) api.EventSource {
	return func(ctx context.Context, q shim.EventQuery, emit func(shim.Event) error) error {
		if q.Group != "" {
			if err := checkKnown(ctx, q.Group, events, status); err != nil {
				return err
			}
		}
		return events(ctx, q, emit)
	}
}

func checkKnown(ctx context.Context, group string, events api.EventSource, status func(group string) ([]shim.GroupStatus, error)) error {
	_, err := status(group)
	if !errors.Is(err, shim.ErrNoGroup) {
		return err
	}
	q := shim.EventQuery{Group: group, Tail: 1}
	if failed := events(ctx, q, func(shim.Event) error { err = nil; return nil }); failed != nil {
		return failed
	}
	return err
}
