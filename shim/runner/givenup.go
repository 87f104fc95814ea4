package runner

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/plan"
)

// recordGivenUp records an event for each container that is not started again any more, as its
// attempts are spent. The state of the group need not change by that. What a keeper finds when it
// begins has its event already.
func (r *Runner) recordGivenUp(in plan.Input, s group.State) {
	before := r.givenUp
	r.givenUp = map[string]bool{}
	for _, end := range plan.GivenUp(in) {
		r.givenUp[end.Container] = true
		if before != nil && !before[end.Container] {
			event := stateEvent(r.group, s, end.Text)
			event.Container = end.Container
			r.record(event)
		}
	}
}
