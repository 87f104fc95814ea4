package runner

import (
	"fmt"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// checkPorts asks, before the link is made, about the ports that this keeper has not seen the group
// publish. An edit by hand and a boot did not ask. A port that cannot be asked about counts as
// free.
func (r *Runner) checkPorts(want *spec.Group) error {
	for _, p := range NewPorts(r.connected, want) {
		taken, err := r.config.PortTaken(p)
		if err != nil {
			r.log.Warn(fmt.Sprintf("ask who uses port %s: %v", p.HostPort(), err), "group", r.group)
		}
		if taken != nil {
			return taken
		}
	}
	return nil
}

// PortTaken returns an error if others use a port. A nil taken means that the port is free.
func (c *Config) PortTaken(p spec.Publish) (taken *hint.Error, err error) {
	if c.PortInUse == nil {
		return nil, nil
	}
	holder, err := c.PortInUse(p)
	if err != nil || holder == "" {
		return nil, err
	}
	return &hint.Error{
		Err:  fmt.Errorf("port %s of the host is taken by %s", p.HostPort(), holder),
		Hint: fmt.Sprintf("give publish %q another host port, or end what has it", p.Name),
	}, nil
}

// NewPorts returns the ports of the host that after publishes and before does not. before may be
// nil.
func NewPorts(before, after *spec.Group) []spec.Publish {
	had := map[string]bool{}
	if before != nil {
		for _, p := range before.Door().Publish {
			had[p.HostPort()] = true
		}
	}
	var out []spec.Publish
	for _, p := range after.Door().Publish {
		if !had[p.HostPort()] {
			out = append(out, p)
		}
	}
	return out
}
