package keeper

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
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
// runners decide. While no group has a bound, it sleeps.
func (k *Keeper) watchBounds(ctx context.Context) error {
	var due <-chan time.Time // nil while no group has a bound
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.bounded:
			if due == nil {
				due = time.After(k.config.Resync / boundsPerResync)
			}
			continue
		case <-due:
			due = nil
		}
		for _, name := range k.Groups() {
			r, generation, found := k.lookAtBounds(ctx, name)
			if r != nil {
				r.SetBounds(generation, found)
			}
		}
		if k.anyBounded() {
			due = time.After(k.config.Resync / boundsPerResync)
		}
	}
}

// boundsSoon has the bounds looked at from now on, if a group that is about to be kept has one.
func (k *Keeper) boundsSoon(g *spec.Group) {
	if !g.Bounded() {
		return
	}
	select {
	case k.bounded <- struct{}{}:
	default:
	}
}

// anyBounded reports whether a group that is kept has a bound, even if it doesn't run.
func (k *Keeper) anyBounded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.runners {
		if w := k.wantedOrRun(name); w.Group.Bounded() {
			return true
		}
	}
	return false
}

// wantedOrRun returns what is wanted of a group or a run. The caller holds mu.
func (k *Keeper) wantedOrRun(name string) store.Wanted {
	if k.isRun(name) {
		return *wantedRun(k.runs.all[name])
	}
	return k.wanted[name]
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
	r, w := k.runners[group], k.wantedOrRun(group)
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
