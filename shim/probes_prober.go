package shim

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// A Prober asks a running container once, from inside its group. nil is a success; an error says in one line what was asked and
// what came back. The probe's timeout is counted from when the container is asked; ctx ends the try before. Implemented by
// [HostProber]; in memory by shimtest.Host.
type Prober interface {
	Probe(ctx context.Context, group, container string, p spec.Probe) error
}
