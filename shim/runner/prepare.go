package runner

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/plan"
)

// prepare makes sure, before anything is stopped or removed for it, that the step can create what
// it is to create: its images are on the host, and the group can have its volumes. So an edit by
// hand that names a missing image leaves running containers alone, as Apply does.
func (r *Runner) prepare(ctx context.Context, d desired, create plan.Step) error {
	for _, t := range create.Targets {
		if _, err := d.image(r.machine)(ctx, create.Want.Container(t.Name).Image); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
	}
	return r.machine.volumes.Check(ctx, create.Want)
}
