package host

import (
	"context"
	"errors"
	"syscall"
)

// ErrNotAsked is wrapped by the errors of a Prober that could not ask: containerd or the host
// itself is at fault. Such an error counts neither for nor against the container.
var ErrNotAsked = errors.New("it could not be asked")

// ErrUserFile is the error for an exec in a container whose file of users or groups could make the
// OCI runtime wait. The container is at fault.
var ErrUserFile = errors.New("the runtime could wait for ever at a file")

// ErrImageGone is the error for a pinned image that is not to be had any more, neither on this host
// nor from its registry.
var ErrImageGone = errors.New("not on this host any more")

// ErrEnded is the error for what a container was to do that does not run any more.
var ErrEnded = errors.New("the container does not run any more")

// ErrNoProgram is the error for a command whose program the container doesn't have.
var ErrNoProgram = errors.New("no such program")

// FileCapabilities is the hint for a program that the kernel refuses to run (EPERM, in execve(2)):
// its file has capabilities that are not in the bounding set of the container.
const FileCapabilities = "most likely the program's file has capabilities that the container can't have (getcap shows them): take them off in the image, with setcap -r, or give the container those that it may have, in its capabilities"

// ErrCannotRun is the error for a command whose program is there and can't be run.
var ErrCannotRun = errors.New("the program can't be run")

// ErrTimedOut is the error for a command that did not end in the time that it was given.
var ErrTimedOut = errors.New("its time was over")

// passing are the errors of the kernel that mean "not now".
var passing = []error{context.DeadlineExceeded, syscall.EINTR, syscall.EAGAIN, syscall.ETIMEDOUT, syscall.ENOBUFS}

// Passing reports whether a failure may pass by itself: a busy host answered too late, a list
// changed while it was read, or a service is being restarted. It doesn't mean that nothing was
// done. The answer may have been lost.
func Passing(err error) bool {
	for _, p := range passing {
		if errors.Is(err, p) {
			return true
		}
	}
	_, unavailable := errors.AsType[interface {
		error
		Unavailable() // as the errors of containerd have it
	}](err)
	return unavailable
}

// ErrNoIOWeight is the error for a kernel on which io_weight has no effect.
var ErrNoIOWeight = errors.New("this host has no disk weights")

// NoIOWeightHint is the hint for ErrNoIOWeight.
const NoIOWeightHint = "use a kernel with CONFIG_BLK_CGROUP_IOCOST, or with the BFQ scheduler (try \"modprobe bfq\"), or take io_weight out of the resources"
