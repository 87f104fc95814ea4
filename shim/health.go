package shim

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// A Health is what a running container's probes have said since it started. The zero value is one of which nothing is known: it
// is neither ready nor to be restarted.
type Health struct {
	Started bool   // its startup probe has succeeded, or it has none
	Ready   bool   // Started, and its ready probe says so, or it has none
	Dead    bool   // its startup or live probe failed as often as it may: to be restarted
	Said    string // why it is not ready, or dead: one line in an operator's words, with the probe and its last error; else empty
}

// A Prober asks a running container once, from inside its group. nil is a success; an error says in one line what was asked and
// what came back. ctx carries the probe's timeout. In memory by shimtest.Host.
type Prober interface {
	Probe(ctx context.Context, group, container string, p spec.Probe) error
}
