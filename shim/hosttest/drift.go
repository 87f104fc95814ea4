package hosttest

import (
	"context"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// WatchDrift implements [keeper.Changes]. It looks each second.
func (h *Host) WatchDrift(ctx context.Context, groups func() []string, changed func(group string)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, group := range h.changed(groups()) {
			changed(group)
		}
	}
}

// changed compares each group's network with that of the last call.
func (h *Host) changed(groups []string) (changed []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, group := range groups {
		now := ""
		if n := h.nets[group]; n != nil {
			now = strings.Join(n.lines(group), "\n")
		}
		if now != h.fingerprints[group] {
			changed = append(changed, group)
		}
		h.fingerprints[group] = now
	}
	return changed
}

// Describe implements [runner.Drift].
func (h *Host) Describe(part host.Part, _ *spec.Group) []string {
	return []string{"its " + string(part)}
}
