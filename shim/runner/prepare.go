package runner

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// prepare makes sure that a step can create its containers, before anything is stopped or removed
// for it: their images and devices are on the host, and the group can have its volumes. So an edit
// by hand that names a missing image leaves running containers alone, as Apply does.
func (r *Runner) prepare(ctx context.Context, d desired, create plan.Step) error {
	defer r.progress.leave()()
	for _, t := range create.Targets {
		if _, err := d.image(r.machine)(ctx, create.Want.Container(t.Name).Image); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
		if r.config.Devices == nil {
			continue
		}
		if err := r.config.Devices.CheckDevices(create.Want, *create.Want.Container(t.Name)); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
	}
	return r.machine.volumes.Check(ctx, create.Want)
}

// checkPorts returns an error if others use a port that the group is to publish. It runs before the
// link is made, since neither an edit by hand nor a boot has asked. It leaves out the ports that
// this keeper has seen the group publish. A port whose use is unknown counts as free.
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

// NewPorts returns the ports of the host, one by one, that after publishes and before does not.
// before may be nil.
func NewPorts(before, after *spec.Group) []spec.Publish {
	had := map[string]bool{}
	if before != nil {
		for _, p := range before.Door().Publish {
			for one := range p.Each() {
				had[one.HostPort()] = true
			}
		}
	}
	var out []spec.Publish
	for _, p := range after.Door().Publish {
		for one := range p.Each() {
			if !had[one.HostPort()] {
				out = append(out, one)
			}
		}
	}
	return out
}
