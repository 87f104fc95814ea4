package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// cleanUpTime limits what is done after a step failed or was cancelled.
const cleanUpTime = 30 * time.Second

// Execute does one step. images returns the image for a reference, and makes it present on the
// host.
func (h Machine) Execute(ctx context.Context, s plan.Step, generation int, images func(context.Context, string) (host.Image, error)) error {
	switch s.Kind {
	case plan.Seal:
		return h.network.Seal(ctx, s.Group)
	case plan.Admit:
		return h.network.Admit(ctx, s.Want)
	case plan.Connect:
		return h.network.Connect(ctx, s.Want)
	case plan.Disconnect:
		return h.network.Remove(ctx, s.Group)
	case plan.Limit:
		return h.cgroups.Limit(ctx, s.Want)
	case plan.Mount:
		return h.volumes.Ensure(ctx, s.Want, s.Volume)
	case plan.Unmount:
		return h.volumes.Remove(ctx, s.Group, s.Volume.Name)
	case plan.Create:
		return h.createAll(ctx, s, generation, images)
	case plan.Start:
		return each(s, "start", func(t plan.Target) error { return h.runtime.Start(ctx, s.Group, t.Name) })
	case plan.Stop:
		return each(s, "stop", func(t plan.Target) error { return h.runtime.Stop(ctx, s.Group, t.Name, t.Stop) })
	case plan.Remove:
		return each(s, "remove", func(t plan.Target) error { return h.runtime.Remove(ctx, s.Group, t.Name) })
	default:
		panic("shim: step of unknown kind " + string(s.Kind))
	}
}

// each does one thing to all targets at the same time and returns the first error.
func each(s plan.Step, verb string, do func(plan.Target) error) error {
	var g errgroup.Group
	for _, t := range s.Targets {
		g.Go(func() error {
			if err := do(t); err != nil {
				return fmt.Errorf("%s %s: %w", verb, t, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// createAll creates every target or none. If one cannot be created, the others are removed again.
func (h Machine) createAll(ctx context.Context, s plan.Step, generation int, images func(context.Context, string) (host.Image, error)) error {
	err := each(s, "create", func(t plan.Target) error {
		return h.createOne(ctx, s.Want, s.Want.Container(t.Name), generation, images)
	})
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if left := each(s, "remove", func(t plan.Target) error { return h.runtime.Remove(clean, s.Group, t.Name) }); left != nil {
		return fmt.Errorf("%w (and what was created is still there: %w)", err, left)
	}
	return err
}

func (h Machine) createOne(ctx context.Context, g *spec.Group, c *spec.Container, generation int,
	images func(context.Context, string) (host.Image, error)) error {
	image, err := images(ctx, c.Image)
	if err != nil {
		return err
	}
	if h.images != nil { // before the container: its image must not be collected while it is made
		if err := h.images.Retain(ctx, g.Name, generation, image); err != nil {
			return err
		}
	}
	return h.runtime.Create(ctx, host.CreateRequest{Group: g, Container: *c, Image: image, Generation: generation})
}

// A Machine is the host as the runners use it.
type Machine struct {
	runtime Runtime
	network Network
	volumes Volumes
	cgroups Cgroups     // nil: groups have no limits
	images  ImageKeeper // nil: images are kept by their names alone
}

// NewMachine returns the machine of a configuration.
func NewMachine(c *Config) Machine {
	return Machine{runtime: c.Runtime, network: c.Network, volumes: c.Volumes, cgroups: c.Cgroups, images: c.Images}
}

// Observe observes all parts of one group at the same time.
func (h Machine) Observe(ctx context.Context, group string, want *spec.Group) plan.Observed {
	var o plan.Observed
	var wg sync.WaitGroup
	wg.Go(func() { o.Net = h.observeNet(ctx, group, want) })
	wg.Go(func() { o.Limits = h.observeBounds(ctx, want) })
	wg.Go(func() { o.Volumes, o.VolumesErr = h.volumes.Observe(ctx, group, want) })
	wg.Go(func() { o.Containers, o.ContainersErr = h.runtime.Observe(ctx, group) })
	wg.Wait()
	return o
}

// observeNet also asks, for a group that is to be removed, whether anything at all is left. Half a
// namespace or an empty cgroup counts as no namespace, no rules and no link, but is still
// something.
func (h Machine) observeNet(ctx context.Context, group string, want *spec.Group) host.NetState {
	n := h.network.Observe(ctx, group, want)
	if want != nil {
		return n
	}
	left, err := h.network.Groups(ctx)
	switch {
	case err != nil:
		n.Pinned = host.Unknown
	case slices.Contains(left, group):
		n.Pinned = host.Present
	default:
		n.Pinned = host.Absent
	}
	return n
}

// observeBounds asks about a wanted group only: the limits of others go with their cgroups.
func (h Machine) observeBounds(ctx context.Context, want *spec.Group) host.Presence {
	if want == nil || h.cgroups == nil {
		return host.Present
	}
	return h.cgroups.Limited(ctx, want)
}

// Groups returns every group of which the host has anything.
func (h Machine) Groups(ctx context.Context) ([]string, error) {
	nets, errNets := h.network.Groups(ctx)
	vols, errVols := h.volumes.Groups(ctx)
	retained, errRetained := h.retainedGroups(ctx)
	states, errStates := h.runtime.Observe(ctx, "")
	if err := errors.Join(errNets, errVols, errRetained, errStates); err != nil {
		return nil, err
	}
	names := slices.Concat(nets, vols, retained)
	for _, s := range states {
		names = append(names, s.Group)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
