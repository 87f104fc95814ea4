package hosttest

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Cgroups enforces the limits of a Host's groups. It implements [runner.Cgroups].
type Cgroups Host

// Cgroups returns the host's cgroups. If it was never called, groups may run without their limits.
func (h *Host) Cgroups() *Cgroups {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limiting = true
	return (*Cgroups)(h)
}

func (c *Cgroups) Limited(_ context.Context, want *spec.Group) host.Presence {
	h := (*Host)(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("observe limits"); f.err != nil {
		return host.Unknown
	}
	return presence(h.limited(want))
}

// limited reports whether exactly the group's limits are in force. The caller holds mu.
func (h *Host) limited(g *spec.Group) bool { return reflect.DeepEqual(h.limits[g.Name], g.Resources) }

func (c *Cgroups) Limit(_ context.Context, want *spec.Group) error {
	h := (*Host)(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("limit")
	if f.err != nil && !f.after {
		return f.err
	}
	h.limits[want.Name] = want.Resources
	if h.limits[want.Name] == (spec.Resources{}) {
		delete(h.limits, want.Name)
	}
	return f.err
}

// Unlimit removes a group's limits, as an operator with a shell would.
func (h *Host) Unlimit(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.limits, group)
}

// limitsLine returns a group's limits as a line of [Host.String].
func limitsLine(group string, r spec.Resources) string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("hosttest: " + err.Error()) // the type always encodes
	}
	return "limits " + group + ": " + string(text)
}
