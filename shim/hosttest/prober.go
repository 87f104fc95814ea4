package hosttest

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Prober asks the probes of a Host's containers. It implements [probes.Prober].
type Prober Host

// Prober returns the host's prober. A probe of a container that does not run fails.
func (h *Host) Prober() *Prober { return (*Prober)(h) }

// Answer sets the answer to a container's probe of a kind from now on. A nil err is a success. At
// first all probes succeed.
func (h *Host) Answer(group, name, kind string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[spec.ID(group, name)+" "+kind] = err
}

// Asked returns how often a container's probe of a kind was asked.
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
		return fmt.Errorf("nothing answers in %s", id)
	}
	err := h.answers[id+" "+probe.Kind]
	c.answered(probe, err)
	return err
}
