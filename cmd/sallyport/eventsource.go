package main

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// eventSource reads the journal for the control socket. A removed group still has events. A group
// that was never known is an error, rather than an empty list.
func eventSource(events api.EventSource, status func(group string) ([]group.Status, error)) api.EventSource {
	return func(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
		if q.Group != "" {
			if err := checkKnown(ctx, q.Group, events, status); err != nil {
				return err
			}
		}
		return events(ctx, q, emit)
	}
}

func checkKnown(ctx context.Context, name string, events api.EventSource, status func(group string) ([]group.Status, error)) error {
	_, err := status(name)
	if !errors.Is(err, group.ErrNoGroup) {
		return err
	}
	q := group.EventQuery{Group: name, Tail: 1}
	if failed := events(ctx, q, func(group.Event) error { err = nil; return nil }); failed != nil {
		return failed
	}
	return err
}
