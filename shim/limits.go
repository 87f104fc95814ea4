package shim

import "errors"

// ErrNoIOWeight is a kernel on which io_weight has no meaning.
var ErrNoIOWeight = errors.New("this host shares its disks by no weight")

// NoIOWeightHint is what to do about ErrNoIOWeight.
const NoIOWeightHint = "use a kernel with CONFIG_BLK_CGROUP_IOCOST, or with the BFQ scheduler (try \"modprobe bfq\"), or take io_weight out of the resources"
