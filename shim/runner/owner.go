package runner

import (
	"context"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/store"
)

// An Owner is a runner's way back to its keeper, which alone changes the store.
type Owner interface {
	// RecordOutcome records the outcome of a generation.
	RecordOutcome(ctx context.Context, group string, generation int, o group.Outcome, why string) error
	// Revert puts the generation before w in its place. A nil error also means that something else
	// is wanted by now.
	Revert(ctx context.Context, r *Runner, w store.Wanted, why error) error
	// RecordDigests adds to the image digests of a generation.
	RecordDigests(ctx context.Context, group string, generation int, p group.ImageDigests) error
	// KeptGenerations returns the generations that the group can be rolled back to.
	KeptGenerations(ctx context.Context, group string) ([]int, error)
	// Drop drops the runner of a group that is gone, unless it has been asked for something else
	// since seq. It reports whether it dropped it.
	Drop(ctx context.Context, r *Runner, seq int) bool
}
