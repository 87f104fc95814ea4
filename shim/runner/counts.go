package runner

import (
	"sync/atomic"

	"github.com/sallyport/sallyport/shim/group"
)

// counts are a runner's [group.Counts]. They are written by the goroutine of Run, and read by any.
type counts struct{ reconciliations, failures, repairs atomic.Uint64 }

// Counts returns what has happened to the group since the runner was made.
func (r *Runner) Counts() group.Counts {
	return group.Counts{Reconciliations: r.counts.reconciliations.Load(), Failures: r.counts.failures.Load(), Repairs: r.counts.repairs.Load()}
}
