package host

import "errors"

// ErrImageGone is the error for an image that a reference was pinned to and that cannot be had
// again, neither on this host nor from its registry.
var ErrImageGone = errors.New("not on this host any more")

// ErrNoIOWeight is a kernel on which io_weight has no meaning.
var ErrNoIOWeight = errors.New("this host shares its disks by no weight")

// NoIOWeightHint is what to do about ErrNoIOWeight.
const NoIOWeightHint = "use a kernel with CONFIG_BLK_CGROUP_IOCOST, or with the BFQ scheduler (try \"modprobe bfq\"), or take io_weight out of the resources"
