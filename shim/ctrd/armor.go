package ctrd

import (
	"context"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
)

// armorAgain is how long a profile that could not be loaded is not tried again.
const armorAgain = time.Minute

// An armor gives containers their AppArmor profile. It remembers for a while that it can't.
type armor struct {
	host apparmor.Host

	mu     sync.Mutex // also keeps two from loading at the same time
	failed time.Time  // zero: the last look was good
	why    string     // of the last failure
}

// profile returns the AppArmor profile of a container that is about to be created, or "" if it is
// created without one. The profile may be gone from the kernel at any time: some tools remove what
// no file in /etc/apparmor.d has.
func (c *Client) profile(ctx context.Context) string {
	a := &c.armor
	if !a.host.On() {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.failed.IsZero() && time.Since(a.failed) < armorAgain {
		return ""
	}
	profile, loaded, err := a.host.Ensure(ctx)
	switch {
	case err == nil:
		a.failed, a.why = time.Time{}, ""
		if loaded {
			c.log.Info("AppArmor profile loaded", "profile", profile)
		}
	case ctx.Err() != nil: // the caller has gone
	default:
		a.failed = time.Now()
		if err.Error() != a.why {
			c.log.Warn("containers are created without an AppArmor profile; see sallyport doctor", "error", err)
		}
		a.why = err.Error()
	}
	return profile
}
