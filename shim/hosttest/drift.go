package hosttest

import (
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Changed implements [keeper.Changes]. It compares each group's network with that of the last call.
func (h *Host) Changed(groups []string) (changed []string) {
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
