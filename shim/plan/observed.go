package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// Observed is what a look at the host found of one group.
type Observed struct {
	Net           host.NetState
	Limits        host.Presence // of the whole group: just the wanted ones are in force
	Volumes       []spec.Volume // mounted
	VolumesErr    error         // not nil: the volumes are unknown, and why
	Containers    []host.ContainerState
	ContainersErr error // not nil: the containers are unknown, and why
}

// Nothing is what a look finds on a host that has nothing of the group, for a plan without a host.
func Nothing() Observed {
	return Observed{Net: host.NetState{Pinned: host.Absent, Namespace: host.Absent, Rules: host.Absent, Link: host.Absent}}
}

// Container returns the state of the container of that name.
func (o Observed) Container(name string) (host.ContainerState, bool) {
	i := slices.IndexFunc(o.Containers, func(c host.ContainerState) bool { return c.Name == name })
	if i < 0 {
		return host.ContainerState{}, false
	}
	return o.Containers[i], true
}

// Gone says that nothing of the group is left, for sure.
func (o Observed) Gone() bool {
	return o.ContainersErr == nil && len(o.Containers) == 0 && o.VolumesErr == nil && len(o.Volumes) == 0 &&
		o.Net.Pinned == host.Absent && o.Net.Namespace == host.Absent && o.Net.Rules == host.Absent && o.Net.Link == host.Absent
}

// Unknown says what of the group could not be looked at; nil when everything could.
func (o Observed) Unknown(want *spec.Group) error {
	var errs []error
	if o.ContainersErr != nil {
		errs = append(errs, fmt.Errorf("look at its containers: %w", o.ContainersErr))
	}
	for _, c := range o.Containers {
		if c.Task == host.TaskUnknown {
			errs = append(errs, fmt.Errorf("containerd does not say what %s (%s) is doing", c.Name, c.Role))
		}
	}
	if o.VolumesErr != nil {
		errs = append(errs, fmt.Errorf("look at its volumes: %w", o.VolumesErr))
	}
	if want != nil && want.Resources != (spec.Resources{}) && o.Limits == host.Unknown {
		errs = append(errs, errors.New("its bounds could not be looked at"))
	}
	linkMatters := want == nil || want.Egress != spec.EgressNone
	if o.Net.Namespace == host.Unknown || o.Net.Rules == host.Unknown || o.Net.Link == host.Unknown && linkMatters {
		errs = append(errs, errors.New("its network could not be looked at"))
	}
	return hint.Join(errs)
}

// FromNothing says that the group is to be made from nothing, as after a boot: there are at most records of containers.
func (o Observed) FromNothing() bool {
	return o.Net.Pinned == host.Absent && o.ContainersErr == nil &&
		!slices.ContainsFunc(o.Containers, func(s host.ContainerState) bool { return s.Task != host.TaskNone })
}

// Restored is what a look found, with the ends that containerd has forgotten: a restart of containerd 2 leaves of a task that has
// ended nothing but its container.
func (o Observed) Restored(h restart.Records) Observed {
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		s := &o.Containers[i]
		l := h[s.Name]
		if s.Task == host.TaskNone && l.Ended && l.ExitStatus != nil && l.Digest == s.Digest && l.IsOf(*s) {
			s.Task, s.ExitStatus, s.ExitedAt, s.OOMKilled = host.TaskStopped, *l.ExitStatus, l.EndedAt, l.OOMKilled
		}
	}
	return o
}
