package shim

import (
	"fmt"
	"time"
)

// callTime is how long a call waits for a group whose probes go on saying that it is not ready, where no health_timeout says so:
// a script that applies a file must come to an end. It is the health_timeout that auto_revert has by default.
const maxNotReady = 2 * time.Minute

// await tells whoever follows the look of seq what the group waits for, once each, and lets go those that have waited for what
// probes deny for callTime. The group goes on. It returns when the next one is to be let go; zero: none is, since
// nothing is denied, as while an init runs, or since the generation's trial decides.
func (r *Runner) notifyWaiting(in PlanInput, seq int, state State, waits string) (next time.Time) {
	hint := waitingHint(in)
	switch {
	case hint == "" || r.rollout.undecided(in.update()):
		r.notReadySince = time.Time{}
	case r.notReadySince.IsZero():
		r.notReadySince = in.Now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []request
	for _, q := range r.requests {
		if q.seq <= seq {
			if q.lastWaiting != waits {
				q.waiter.addLine(r.group, "%s", waits)
				q.lastWaiting = waits
			}
			if !r.notReadySince.IsZero() {
				end := r.notReadySince.Add(maxNotReady)
				if q.since.After(r.notReadySince) {
					end = q.since.Add(maxNotReady)
				}
				if !end.After(in.Now) {
					err := &Problem{Err: fmt.Errorf("not ready after %s: %s", maxNotReady, waits), Hint: hint + "; the group goes on, and will be ready when its probes say so"}
					q.waiter.addResult(r.group, Result{State: state, Err: err})
					continue
				}
				if next.IsZero() || end.Before(next) {
					next = end
				}
			}
		}
		rest = append(rest, q)
	}
	r.requests = rest
	return next
}
