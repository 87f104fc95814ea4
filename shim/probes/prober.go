package probes

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// A Prober asks a running container once, from inside its group. A nil error is a success. An error
// has, on one line, what was asked and what came back. The probe's timeout counts from the moment
// when the container is asked. ctx ends a try earlier. Implemented by [probes_test.probe.Prober]; in memory by
// shimtest.Host.
type Prober interface {
	Probe(ctx context.Context, group, container string, p spec.Probe) error
}
