package keeper

import (
	"context"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
)

// Changes detects cheaply what others may have changed on the host. Observing a whole group takes
// more than two dozen requests. Implemented by [network.Drift]; in memory by hosttest.Host.
type Changes interface {
	// WatchDrift calls changed for a group whose network may have changed, out of those that groups
	// returns, until ctx ends. It is called once.
	WatchDrift(ctx context.Context, groups func() []string, changed func(group string)) error
}

// driftDetected wakes a group's runner when its network may have changed.
func (k *Keeper) driftDetected(group string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.runners[group]; ok {
		r.Wake(runner.WakeDrift)
	}
}

// Groups returns the groups that are kept, sorted by name. It includes those that are being
// removed.
func (k *Keeper) Groups() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.runners))
}

// Counts returns what has happened to each group that is kept.
func (k *Keeper) Counts() map[string]group.Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]group.Counts, len(k.runners))
	for name, r := range k.runners {
		out[name] = r.Counts()
	}
	return out
}

// readStates returns the states that the journal has of the groups, so that a restarted daemon
// records none of them again.
func (k *Keeper) readStates() map[string]group.State {
	if k.config.Journal == nil {
		return nil
	}
	states, err := k.config.Journal.States()
	if err != nil {
		k.config.Log.Warn("read which states the groups were in: " + err.Error())
	}
	return states
}
