package spec

import (
	"cmp"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on the times and the attempts of a restart block.
const (
	maxAttempts   = 1000
	minWindow     = time.Second
	maxWindow     = 24 * time.Hour
	minDelay      = 100 * time.Millisecond
	minMaxDelay   = time.Second
	maxDelay      = 24 * time.Hour
	defaultWindow = 10 * time.Minute
	firstDelay    = time.Second
	longestDelay  = time.Minute
)

// Stable returns how long a run has to be to end a row of short ones.
func (r Restart) Stable() time.Duration { return cmp.Or(r.Window, defaultWindow) }

// Delays returns the wait before the first start of a row, and the longest one. Each wait between
// them is twice the one before.
func (r Restart) Delays() (first, longest time.Duration) {
	first = cmp.Or(r.Delay, firstDelay)
	return first, cmp.Or(r.MaxDelay, max(longestDelay, first))
}

// Spent reports whether a container that has ended so often in a row is not started again.
func (r Restart) Spent(endsInARow int) bool { return r.Attempts > 0 && endsInARow > r.Attempts }

// restart reads when an ended container is started again. An init never restarts after it has
// succeeded.
func (d *groupDecoder) restart(role Role, container *hclsyntax.Block) Restart {
	restart := Restart{Policy: RestartAlways}
	if role == Init {
		restart.Policy = RestartOnFailure
	}
	block := single(container, "restart")
	if block == nil {
		return restart
	}
	r := d.in(block)
	words := []string{string(RestartAlways), string(RestartOnFailure), string(RestartNever)}
	s, at, ok := r.oneOf("policy", words)
	if ok {
		restart.Policy = RestartPolicy(s)
	}
	if role == Init && restart.Policy == RestartAlways {
		d.errorf(at, "Invalid policy", "An init runs to its end before the group's apps start. One that is always restarted would never let them start. Write \"on-failure\" or \"never\".")
	}
	if n, _, ok := r.integer("attempts", 1, maxAttempts, optional); ok {
		restart.Attempts = int(n)
	}
	restart.Window, _ = r.duration("window", minWindow, maxWindow)
	restart.Delay, _ = r.duration("delay", minDelay, maxDelay)
	restart.MaxDelay, _ = r.duration("max_delay", minMaxDelay, maxDelay)
	if restart.MaxDelay != 0 && restart.Delay > restart.MaxDelay {
		d.errorf(r.body.Attributes["max_delay"].Expr.Range(), "Delays the wrong way round", "The first delay, %s, is longer than the longest, %s. Write a larger max_delay, or a smaller delay.", restart.Delay, restart.MaxDelay)
	}
	if restart.Policy == RestartNever {
		for _, name := range []string{"attempts", "window", "delay", "max_delay"} {
			if r.has(name) {
				d.errorf(r.body.Attributes[name].NameRange, "A restart that never comes", "%q is about restarts, and with policy = \"never\" there are none. Remove the line, or write another policy.", name)
			}
		}
	}
	return restart
}
