package runner

import (
	"context"

	"github.com/sallyport/sallyport/shim/plan"
)

// Observe observes as a reconciliation does.
func (r *Runner) Observe(ctx context.Context) plan.Input {
	d, _ := r.desiredNow()
	return r.observe(ctx, d)
}

// Execute does one step of a reconciliation.
func (r *Runner) Execute(ctx context.Context, s plan.Step) error {
	d, seq := r.desiredNow()
	return r.execute(ctx, d, seq, s, r.retainedImage(d))
}

// Finish ends all requests so far with a result.
func (r *Runner) Finish(o Result) {
	_, seq := r.desiredNow()
	r.finish(seq, o)
}
