package hosttest

import (
	"context"
	"encoding/json"
	"reflect"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Cgroups are the cgroups of a Host.
type Cgroups Host

// Cgroups is the host's cgroups. One whose side was never asked for has groups run without bounds.
func (h *Host) Cgroups() *Cgroups {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bounding = true
	return (*Cgroups)(h)
}

func (c *Cgroups) Limited(_ context.Context, want *spec.Group) host.Presence {
	h := (*Host)(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("observe bounds"); f.err != nil {
		return host.Unknown
	}
	return presence(h.bounded(want))
}

// bounded needs mu.
func (h *Host) bounded(g *spec.Group) bool { return reflect.DeepEqual(h.bounds[g.Name], g.Resources) }

func (c *Cgroups) Limit(_ context.Context, want *spec.Group) error {
	h := (*Host)(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("limit")
	if f.err != nil && !f.after {
		return f.err
	}
	h.bounds[want.Name] = want.Resources
	if h.bounds[want.Name] == (spec.Resources{}) {
		delete(h.bounds, want.Name)
	}
	return f.err
}

// Unlimit takes away a group's bounds, as somebody with a shell would.
func (h *Host) Unlimit(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bounds, group)
}

func boundsLine(group string, r spec.Resources) string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("shimtest: " + err.Error()) // of a type of ours that encodes
	}
	return "bounds " + group + ": " + string(text)
}
