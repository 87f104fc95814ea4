package keeper

import (
	"context"
	"maps"
	"slices"
	"time"
)

// observeTimeout limits how long Ready waits for a host that is slow to answer.
const observeTimeout = 5 * time.Second

// Ready returns a channel that is closed when Run has loaded the store and observed each of its
// groups, or has waited 5 s for that. From then on Status returns what was observed. The channel is
// never closed if Run does not get so far.
func (k *Keeper) Ready() <-chan struct{} { return k.observed }

// waitObserved closes observed. All runners that exist now were made by the first load.
func (k *Keeper) waitObserved(ctx context.Context) error {
	k.mu.Lock()
	runners := slices.Collect(maps.Values(k.runners))
	k.mu.Unlock()
	enough := time.NewTimer(observeTimeout)
	defer enough.Stop()
	defer close(k.observed)
	for _, r := range runners {
		select {
		case <-r.Observed():
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
