package host

import "errors"

// ErrNotAsked is wrapped by the errors of a Prober that could not ask: containerd or the host
// itself is at fault. Such an error counts neither for nor against the container.
var ErrNotAsked = errors.New("it could not be asked")

// ErrImageGone is the error for a pinned image that is not to be had any more, neither on this host
// nor from its registry.
var ErrImageGone = errors.New("not on this host any more")

// ErrNoIOWeight is the error for a kernel on which io_weight has no effect.
var ErrNoIOWeight = errors.New("this host has no disk weights")

// NoIOWeightHint is the hint for ErrNoIOWeight.
const NoIOWeightHint = "use a kernel with CONFIG_BLK_CGROUP_IOCOST, or with the BFQ scheduler (try \"modprobe bfq\"), or take io_weight out of the resources"
