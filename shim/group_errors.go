package shim

import "errors"

// ErrNoContainer is the error for a container that its group does not have.
var ErrNoContainer = errors.New("no such container")
