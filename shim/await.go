package shim

import (
	"fmt"
	"time"
)

// callTime is how long a call waits for a group whose probes go on saying that it is not ready, where no health_timeout says so:
// a script that applies a file must come to an end. It is the health_timeout that auto_revert has by default.
const callTime = 2 * time.Minute

// await tells whoever follows the look of seq what the group waits for, once each, and lets go those that have waited for what
// probes deny for callTime. The group goes on. It returns when the next one is to be let go; zero: none is, since
// nothing is denied, as while an init runs, or since the generation's trial decides.
func (r *Runner) await(in PlanInput, seq int, state State, waits string) (next time.Time) {
	hint := waitingHint(in)
	switch {
	case hint == "" || r.trial.open(in.update()):
		r.denied = time.Time{}
	case r.denied.IsZero():
		r.denied = in.Now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []follower
	for _, f := range r.followers {
		if f.seq <= seq {
			if f.waits != waits {
				f.feed.line(r.group, "%s", waits)
				f.waits = waits
			}
			if !r.denied.IsZero() {
				end := r.denied.Add(callTime)
				if f.since.After(r.denied) {
					end = f.since.Add(callTime)
				}
				if !end.After(in.Now) {
					err := &Problem{Err: fmt.Errorf("not ready after %s: %s", callTime, waits), Hint: hint + "; the group goes on, and will be ready when its probes say so"}
					f.feed.done(r.group, Result{State: state, Err: err})
					continue
				}
				if next.IsZero() || end.Before(next) {
					next = end
				}
			}
		}
		rest = append(rest, f)
	}
	r.followers = rest
	return next
}
