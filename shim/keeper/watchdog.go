package keeper

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/runner"
)

// A Watchdog ends the daemon if it is not fed in time. The zero value is no watchdog.
type Watchdog struct {
	Feed func()        // required
	Time time.Duration // required: the longest time between two calls of Feed
}

// feeds is how often the watchdog is fed within its time.
const feeds = 4

// feedWatchdog feeds the watchdog for as long as the keeper's loops go on. It can take each of the
// keeper's locks, and each runner sleeps, waits for the host, or has worked for less than half of
// the watchdog's time. So a deadlock and an endless loop starve the watchdog. A lost uplink, a
// containerd that hangs and a mount that gives no answer do not.
func (k *Keeper) feedWatchdog(ctx context.Context) error {
	tick := time.NewTicker(k.config.Watchdog.Time / feeds)
	defer tick.Stop()
	for {
		if k.loopsGoOn(ctx) {
			k.config.Watchdog.Feed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// loopsGoOn reports whether the keeper's loops go on. It blocks while a lock of the keeper is held.
func (k *Keeper) loopsGoOn(ctx context.Context) bool {
	select {
	case k.storeLock <- struct{}{}:
		<-k.storeLock
	case <-ctx.Done():
		return false
	}
	k.mu.Lock()
	runners := slices.Collect(maps.Values(k.runners))
	k.mu.Unlock()
	stuck := func(r *runner.Runner) bool { return r.Working() > k.config.Watchdog.Time/2 }
	i := slices.IndexFunc(runners, stuck)
	if i >= 0 {
		k.config.Log.Error("the loop of a group hangs, the watchdog is not fed", "group", runners[i].Group(), "since", runners[i].Working())
	}
	return i < 0
}
