package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// A wireError is an error on its way to the client. Of the errors that it wraps, only the hint and
// the sentinels below travel with it.
type wireError struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// sentinels are the errors that a client finds with errors.Is, by their code.
var sentinels = map[string]error{
	"no_group":      group.ErrNoGroup,
	"no_container":  group.ErrNoContainer,
	"no_generation": group.ErrNoGeneration,
	"job_timed_out": group.ErrTimedOut,
	"file":          group.ErrFile,
	"no_run":        group.ErrNoRun,
	"queue_full":    group.ErrQueueFull,
	"no_program":    host.ErrNoProgram,
	"cannot_run":    host.ErrCannotRun,
	"timed_out":     host.ErrTimedOut,
}

func encodeError(err error) wireError {
	e := wireError{Message: err.Error()}
	for code, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			e.Code = code
		}
	}
	var problem *hint.Error
	if errors.As(err, &problem) {
		e.Hint = problem.Hint
	}
	return e
}

func (e wireError) decode() error {
	var err error = &remoteError{e.Message, sentinels[e.Code]}
	if e.Hint != "" {
		err = &hint.Error{Err: err, Hint: e.Hint}
	}
	return err
}

// A remoteError is an error of the daemon, as the client returns it.
type remoteError struct {
	message string
	is      error // nil for an error without a code
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.is }

// about adds the name of the group or container to a bare sentinel.
func about(err error, groupName, container string) error {
	switch err {
	case group.ErrNoGroup:
		return fmt.Errorf("group %q: %w", groupName, err)
	case group.ErrNoContainer:
		return &hint.Error{
			Err:  fmt.Errorf("container %q of group %q: %w", container, groupName, err),
			Hint: "\"sallyport status " + groupName + "\" lists its containers",
		}
	}
	return err
}

func notAdmitted(socket string) error {
	return &hint.Error{
		Err:  fmt.Errorf("the daemon at %s admits only root, and the groups that its configuration names", socket),
		Hint: "run it again with sudo",
	}
}

// A badRequest is a mistake in a request. Its cause is the client program, not the operator.
type badRequest struct {
	err    error
	status int
}

func (e *badRequest) Error() string { return e.err.Error() }
func (e *badRequest) Unwrap() error { return e.err }

func statusOf(err error) int {
	var bad *badRequest
	switch {
	case errors.As(err, &bad):
		return bad.status
	case errors.Is(err, group.ErrNoGroup), errors.Is(err, group.ErrNoContainer), errors.Is(err, group.ErrNoGeneration), errors.Is(err, group.ErrNoRun):
		return http.StatusNotFound
	case errors.Is(err, group.ErrQueueFull):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
