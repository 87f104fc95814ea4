package shim

import (
	"context"
	"maps"
	"slices"
	"time"
)

// firstLooks bounds how long Ready waits for a host that is slow to answer.
const observeTimeout = 5 * time.Second

// Ready is closed when Run has loaded the store and looked at each of its groups, or waited 5 s for that: from then on Status
// tells what is. It is never closed where Run never gets so far.
func (k *Keeper) Ready() <-chan struct{} { return k.observed }

// awaitLooks closes looked. The runners there are have been made by the first load.
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
