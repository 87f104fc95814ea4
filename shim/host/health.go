package host

import "errors"

// A Health is what a running container's probes have said since it started. The zero value is one of which nothing is known: it
// is neither ready nor to be restarted.
type Health struct {
	Started bool // its startup probe has succeeded, or it has none
	Ready   bool // Started, and its ready probe says so, or it has none
	Failed  bool // its startup or live probe failed as often as it may: to be restarted
	// Pending says that it isn't Ready only because its probes have neither succeeded nor failed often enough yet.
	Pending bool
	Reason  string // why it is not ready, or dead: one line in an operator's words, with the probe and its last error; else empty
}

// Unknown says that whether the container is ready is not known yet.
func (h Health) Unknown() bool { return h.Pending || h == Health{} }

// ErrNotAsked is in what a Prober returns where it could not ask: containerd or the host itself is at fault. It says nothing about
// the container, and counts for nothing.
var ErrNotAsked = errors.New("it could not be asked")
