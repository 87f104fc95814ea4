package restart

import (
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// A Run is how long the run of a job has taken. It begins with the first start of a container. It
// goes on through restarts of containers, of the daemon and of the host. The JSON is that of a file
// ([store.Store.SetRun]).
type Run struct {
	// At, Boot and Up are a moment of the run, and Spent is how long the run had taken by then.
	At    time.Time     `json:"at"`
	Boot  string        `json:"boot,omitempty"`
	Up    time.Duration `json:"up,omitempty"`
	Spent time.Duration `json:"spent,omitempty"`
}

// BeginRun returns a run that begins now.
func BeginRun(now host.Moment) Run { return Run{At: now.Wall, Boot: now.Boot, Up: now.Up} }

// Taken returns how long the run has taken. Within a boot, the clock counts that can't be set. Over
// a boot it is the wall clock. One that is behind then adds nothing.
func (r Run) Taken(now host.Moment) time.Duration {
	passed := now.Wall.Sub(r.At)
	if r.sameBoot(now) {
		passed = now.Up - r.Up
	}
	return r.Spent + max(passed, 0)
}

// Rebased returns the run as of now if the host has booted since, so that what becomes of the wall
// clock later does not count. rebased reports whether it has.
func (r Run) Rebased(now host.Moment) (_ Run, rebased bool) {
	if now.Boot == "" || r.sameBoot(now) {
		return r, false
	}
	return Run{At: now.Wall, Boot: now.Boot, Up: now.Up, Spent: r.Taken(now)}, true
}

func (r Run) sameBoot(now host.Moment) bool { return r.Boot != "" && r.Boot == now.Boot }
