package runner

// A Wake is a reason to reconcile a group before its time.
type Wake int

const (
	WakeWanted Wake = iota // what is wanted has changed: at once, and failures are forgotten
	WakeHost               // something on the host has changed: at once, unless a failed step waits for its retry
	WakeDrift              // others may have changed its network: at once, even then
)

// Wake makes the runner reconcile its group. It does not block. Several calls before the runner
// gets to it count as one.
func (r *Runner) Wake(w Wake) {
	c := r.wakeWanted
	switch w {
	case WakeHost:
		c = r.wakeHost
	case WakeDrift:
		c = r.wakeDrift
	}
	select {
	case c <- struct{}{}:
	default:
	}
}
