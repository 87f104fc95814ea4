package keeper

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// Bounds looks at bounds on disk. Implemented by [disks.Bounds].
type Bounds interface {
	// Look returns how full the bounds of a group are. One that isn't in force yet is left out.
	Look(ctx context.Context, want *spec.Group) ([]host.Bound, error)
}

// boundsPerResync is how often bounds are looked at while a group is observed once without a cause.
const boundsPerResync = 3

// watchBounds looks at the bounds of all groups that run until ctx ends. Which of them end, their
// runners decide.
func (k *Keeper) watchBounds(ctx context.Context) error {
	tick := time.NewTicker(k.config.Resync / boundsPerResync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, name := range k.Groups() {
			r, generation, found := k.lookAtBounds(ctx, name)
			if r != nil {
				r.SetBounds(generation, found)
			}
		}
	}
}

// LookAtBounds returns how full the bounds on disk of a group are now. It has none if the group
// doesn't run.
func (k *Keeper) LookAtBounds(ctx context.Context, group string) []host.Bound {
	_, _, found := k.lookAtBounds(ctx, group)
	return found
}

// lookAtBounds returns the bounds of a group, its runner, and the generation that they are of. A
// nil runner means that nothing was looked at.
func (k *Keeper) lookAtBounds(ctx context.Context, group string) (*runner.Runner, int, []host.Bound) {
	k.mu.Lock()
	r, w := k.runners[group], k.wanted[group]
	if k.isRun(group) {
		w = *wantedRun(k.runs.all[group])
	}
	k.mu.Unlock()
	if k.config.Bounds == nil || r == nil || w.Stopped || !w.Group.Bounded() || r.Status().Ended {
		return nil, 0, nil
	}
	found, err := k.config.Bounds.Look(ctx, &w.Group)
	if err != nil { // containerd is at fault, and the runner reports it
		return nil, 0, nil
	}
	return r, w.Generation, found
}
