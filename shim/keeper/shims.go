package keeper

import (
	"context"
	"time"
)

// Shims are the processes of the runtime that stand above containers. Implemented by ctrd.Client.
type Shims interface {
	// EndEmptyShims ends those that have no container and stay. It may wait to be sure of that.
	EndEmptyShims(ctx context.Context) error
}

const (
	// shimsStart is the time from the start to the first look. What an earlier keeper has left does
	// no harm meanwhile.
	shimsStart = 5 * time.Minute
	// shimsDelay is how long shims get to end by themselves. Groups that end meanwhile are looked
	// after together.
	shimsDelay = 10 * time.Second
	// shimsInterval is the longest time between two looks. A shim may also be left by a container
	// that was made again.
	shimsInterval = time.Hour
)

// shimsSoon has the shims looked at after shimsDelay.
func (k *Keeper) shimsSoon() {
	select {
	case k.shims <- struct{}{}:
	default:
	}
}

// watchShims ends empty shims until ctx ends: after the start, after groups are gone, and once in
// an interval.
func (k *Keeper) watchShims(ctx context.Context) error {
	select {
	case <-k.observed:
	case <-ctx.Done():
		return nil
	}
	next := time.NewTimer(shimsStart)
	defer next.Stop()
	for soon := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-k.shims:
			if !soon {
				soon = true
				next.Reset(shimsDelay)
			}
		case <-next.C:
			if err := k.config.Shims.EndEmptyShims(ctx); err != nil && ctx.Err() == nil {
				k.config.Log.Warn("look for shims without a container: " + err.Error())
			}
			soon = false
			next.Reset(shimsInterval)
		}
	}
}
