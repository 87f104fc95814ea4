package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// A Machine is the host as the runners use it.
type Machine struct {
	runtime Runtime
	network Network
	volumes Volumes
	secrets Secrets     // nil: no group has any
	cgroups Cgroups     // nil: groups have no limits
	images  ImageKeeper // nil: images are kept by their names alone
	exec    host.Execer // nil: no pre_stop runs
	record  func(...group.Event)
	now     func() time.Time
	input   string // the container whose standard input is open. Empty: none is

	progress *progress // of the runner that uses it. Nil: it is the keeper's
}

// NewMachine returns the machine of a configuration.
func NewMachine(c *Config) Machine {
	return Machine{
		runtime: c.Runtime, network: c.Network, volumes: c.Volumes, secrets: c.Secrets, cgroups: c.Cgroups, images: c.Images,
		exec: c.Exec, record: c.Record, now: c.Now,
	}
}

// withInput returns the machine that creates containers with the standard input that is wanted.
func (m Machine) withInput(d desired) Machine {
	if d.wanted != nil {
		m.input = d.wanted.Input
	}
	return m
}

// Observe observes all parts of one group at the same time.
func (m Machine) Observe(ctx context.Context, group string, want *spec.Group) plan.Observed {
	defer m.progress.leave()()
	var o plan.Observed
	var wg sync.WaitGroup
	wg.Go(func() { o.Net = m.observeNet(ctx, group, want) })
	wg.Go(func() { o.Limits = m.observeLimits(ctx, want) })
	wg.Go(func() { o.Volumes, o.VolumesErr = m.volumes.Observe(ctx, group, want) })
	wg.Go(func() { o.Secrets, o.SecretsErr = m.observeSecrets(ctx, group, want) })
	wg.Go(func() { o.Containers, o.ContainersErr = m.runtime.Observe(ctx, group) })
	wg.Wait()
	o.Outdated = m.observeOutdated(ctx, group, want, o)
	return o
}

// observeOutdated asks which containers have an earlier mount of a volume. What it can't find out
// counts as up to date.
func (m Machine) observeOutdated(ctx context.Context, group string, want *spec.Group, o plan.Observed) map[string][]string {
	if want == nil || o.VolumesErr != nil || o.ContainersErr != nil {
		return nil
	}
	pids := map[string]uint32{}
	for _, s := range o.Containers {
		if c := want.Container(s.Name); c != nil && len(c.Mounts) > 0 && s.Digest == c.Digest && s.PID != 0 {
			pids[s.Name] = s.PID
		}
	}
	if len(pids) == 0 {
		return nil
	}
	outdated, err := m.volumes.Outdated(ctx, want, pids)
	if err != nil || len(outdated) == 0 {
		return nil
	}
	// A process that has ended meanwhile may have left its number to another one.
	now, err := m.runtime.Observe(ctx, group)
	if err != nil {
		return nil
	}
	for name := range outdated {
		if !slices.ContainsFunc(now, func(s host.ContainerState) bool { return s.Name == name && s.PID == pids[name] }) {
			delete(outdated, name)
		}
	}
	return outdated
}

// observeNet observes the network. For a group that is to be removed it also asks whether anything
// at all is left. Half a namespace or an empty cgroup counts as no namespace, no rules and no link,
// but it is still something.
func (m Machine) observeNet(ctx context.Context, group string, want *spec.Group) host.NetState {
	n := m.network.Observe(ctx, group, want)
	if want != nil {
		return n
	}
	left, err := m.network.Groups(ctx)
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

// observeLimits asks about a wanted group only: the limits of others go with their cgroups.
func (m Machine) observeLimits(ctx context.Context, want *spec.Group) host.Presence {
	if want == nil || m.cgroups == nil {
		return host.Present
	}
	return m.cgroups.Limited(ctx, want)
}

// cleanUpTime limits what is done after a step failed or was cancelled.
const cleanUpTime = 30 * time.Second

// An imageSource makes the image of a reference present on the host, and returns it.
type imageSource func(ctx context.Context, ref string) (host.Image, error)

// Execute does one step. What images returns stays on the host.
func (m Machine) Execute(ctx context.Context, s plan.Step, generation int, images imageSource) error {
	defer m.progress.leave()()
	switch s.Kind {
	case plan.Hold:
		return m.holdSecrets(ctx, s)
	case plan.Forget:
		return m.secrets.Remove(ctx, s.Group)
	case plan.Seal:
		return m.network.Seal(ctx, s.Group)
	case plan.Admit:
		return m.network.Admit(ctx, s.Want)
	case plan.Connect:
		return m.network.Connect(ctx, s.Want)
	case plan.Disconnect:
		return m.network.Remove(ctx, s.Group)
	case plan.Limit:
		return m.cgroups.Limit(ctx, s.Want)
	case plan.Mount:
		return m.volumes.Ensure(ctx, s.Want, s.Volume, s.Users)
	case plan.Unmount:
		return m.volumes.Remove(ctx, s.Group, s.Volume.Name)
	case plan.Create:
		return m.createAll(ctx, s, generation, images)
	case plan.Reload:
		return each(s, "reload", func(t plan.Target) error { return m.runtime.Reload(ctx, s.Group, *s.Want.Container(t.Name)) })
	case plan.Start:
		return each(s, "start", func(t plan.Target) error { return m.runtime.Start(ctx, s.Group, t.Name) })
	case plan.Stop:
		return each(s, "stop", func(t plan.Target) error {
			return m.runtime.Stop(ctx, s.Group, t.Name, m.preStop(ctx, s.Group, t))
		})
	case plan.Remove:
		return each(s, "remove", func(t plan.Target) error { return m.runtime.Remove(ctx, s.Group, t.Name) })
	default:
		panic("runner: step of unknown kind " + string(s.Kind))
	}
}

// each does one thing to all targets of a step at the same time. It returns the first error.
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
func (m Machine) createAll(ctx context.Context, s plan.Step, generation int, images imageSource) error {
	err := each(s, "create", func(t plan.Target) error {
		c := s.Want.Container(t.Name)
		image, err := images(ctx, c.Image)
		if err != nil {
			return err
		}
		return m.runtime.Create(ctx, host.CreateRequest{Group: s.Want, Container: *c, Image: image, Generation: generation, Input: m.input == t.Name})
	})
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if left := each(s, "remove", func(t plan.Target) error { return m.runtime.Remove(clean, s.Group, t.Name) }); left != nil {
		return fmt.Errorf("%w (and what was created is still there: %w)", err, left)
	}
	return err
}

// Groups returns every group that has anything on the host.
func (m Machine) Groups(ctx context.Context) ([]string, error) {
	nets, errNets := m.network.Groups(ctx)
	vols, errVols := m.volumes.Groups(ctx)
	held, errHeld := m.secretGroups(ctx)
	retained, errRetained := m.retainedGroups(ctx)
	states, errStates := m.runtime.Observe(ctx, "")
	if err := errors.Join(errNets, errVols, errHeld, errRetained, errStates); err != nil {
		return nil, err
	}
	names := slices.Concat(nets, vols, held, retained)
	for _, s := range states {
		names = append(names, s.Group)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
