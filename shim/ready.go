package shim

import (
	"context"
	"maps"
	"slices"
	"time"
)

// firstLooks bounds how long Ready waits for a host that is slow to answer.
const firstLooks = 5 * time.Second

// Ready is closed when Run has loaded the store and looked at each of its groups, or waited 5 s for that: from then on Status
// tells what is. It is never closed where Run never gets so far.
func (k *Keeper) Ready() <-chan struct{} { return k.looked }

// awaitLooks closes looked. The runners there are have been made by the first load.
func (k *Keeper) awaitLooks(ctx context.Context) error {
	k.mu.Lock()
	runners := slices.Collect(maps.Values(k.runners))
	k.mu.Unlock()
	enough := time.NewTimer(firstLooks)
	defer enough.Stop()
	defer close(k.looked)
	for _, r := range runners {
		select {
		case <-r.Looked():
		case <-enough.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
