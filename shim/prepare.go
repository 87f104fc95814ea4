package shim

import (
	"context"
	"fmt"
	"slices"
)

// prepare makes sure, before anything is stopped or removed for it, that what the step creates can be: its images are on the host,
// and the group's volumes can be had. Then an edit by hand that names an image which is nowhere leaves what runs alone, as Apply
// does.
func (r *Runner) prepare(ctx context.Context, w wish, create Step) error {
	for _, t := range create.Targets {
		if _, err := w.image(r.host)(ctx, create.Want.Container(t.Name).Image); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
	}
	return r.host.volumes.Check(ctx, create.Want)
}

// replaces returns the step that creates what takes the place of what the first of the steps takes away. nil: none does, or the
// first must not wait for it: what lives in a namespace that nobody can look into any more has to go, whatever follows.
func replaces(steps []Step) *Step {
	if k := steps[0].Kind; k != Stop && k != Remove {
		return nil
	}
	if slices.ContainsFunc(steps, func(s Step) bool { return s.Kind == Seal }) {
		return nil
	}
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Kind == Create })
	if i < 0 {
		return nil
	}
	return &steps[i]
}
