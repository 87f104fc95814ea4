package runner

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
)

// maxNotReady is how long a call waits for a group whose probes keep it from being ready, unless a
// health_timeout decides: a script that applies a file must come to an end. It is also the default
// health_timeout of auto_revert.
const maxNotReady = 2 * time.Minute

// notifyWaiting reports what the group waits for, once each, to the requests up to seq. It ends
// those that have waited for a group that is not ready for maxNotReady. The group goes on. It
// returns when the next request is to be ended. Zero means never: no probe keeps the group from
// being ready, as while an init runs, or the generation's rollout decides.
func (r *Runner) notifyWaiting(in plan.Input, seq int, state group.State, waits string) (next time.Time) {
	hint_ := plan.WaitingHint(in)
	switch {
	case hint_ == "" || r.rollout.Undecided(in.Update()):
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
					err := &hint.Error{Err: fmt.Errorf("not ready after %s: %s", maxNotReady, waits), Hint: hint_ + "; the group goes on, and will be ready when its probes say so"}
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
