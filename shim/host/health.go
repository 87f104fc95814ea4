package host

// A Health is the result of a running container's probes since it started. In the zero value
// nothing is known: the container is neither ready nor to be restarted.
type Health struct {
	Started bool // its startup probe has succeeded, or it has none
	Ready   bool // Started, and its ready probe succeeds, or it has none
	Failed  bool // its startup or live probe failed as often as allowed: it is to be restarted
	// Pending means that it is not Ready only because its probes have neither succeeded nor failed
	// often enough yet.
	Pending bool
	Reason  string // why it is not ready, or failed: one line with the probe and its last error; else empty
}

// Unknown reports whether it is still unknown if the container is ready.
func (h Health) Unknown() bool { return h.Pending || h == Health{} }
