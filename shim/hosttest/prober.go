package hosttest

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Prober asks the probes of a Host.
type Prober Host

// Prober asks the host's containers. Each answers as Answer says; a container that does not run answers nothing.
func (h *Host) Prober() *Prober { return (*Prober)(h) }

// Answer sets what a container's probe of a kind says from now on; nil, which it is at first, is a success.
func (h *Host) Answer(group, name, kind string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[spec.ID(group, name)+" "+kind] = err
}

// Asked counts how often a container's probe of a kind was asked.
func (h *Host) Asked(group, name, kind string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[spec.ID(group, name)+" "+kind]
}

func (p *Prober) Probe(ctx context.Context, group, name string, probe spec.Probe) error {
	h := (*Host)(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	id := spec.ID(group, name)
	h.asked[id+" "+probe.Kind]++
	c := h.containers[id]
	if c == nil || c.state.Task != host.TaskRunning {
		return fmt.Errorf("nobody answers in %s", id)
	}
	err := h.answers[id+" "+probe.Kind]
	c.answered(probe, err)
	return err
}
