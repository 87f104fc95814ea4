package shim

import "errors"

// ErrImageGone is the error for an image that a reference was pinned to and that can't be had again, neither here nor where it came from.
var ErrImageGone = errors.New("not on this host any more")
