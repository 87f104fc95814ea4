package shim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// Observed is what a look at the host found of one group.
type Observed struct {
	Net           NetState
	Bounds        Presence      // of the whole group: just the wanted ones are in force
	Volumes       []spec.Volume // mounted
	VolumesErr    error         // not nil: the volumes are unknown, and why
	Containers    []ContainerState
	ContainersErr error // not nil: the containers are unknown, and why
}

// Nothing is what a look finds on a host that has nothing of the group, for a plan without a host.
func Nothing() Observed {
	return Observed{Net: NetState{Pinned: Absent, Namespace: Absent, Rules: Absent, Link: Absent}}
}

// container returns the state of the container of that name.
func (o Observed) container(name string) (ContainerState, bool) {
	i := slices.IndexFunc(o.Containers, func(c ContainerState) bool { return c.Name == name })
	if i < 0 {
		return ContainerState{}, false
	}
	return o.Containers[i], true
}

// Gone says that nothing of the group is left, for sure.
func (o Observed) Gone() bool {
	return o.ContainersErr == nil && len(o.Containers) == 0 && o.VolumesErr == nil && len(o.Volumes) == 0 &&
		o.Net.Pinned == Absent && o.Net.Namespace == Absent && o.Net.Rules == Absent && o.Net.Link == Absent
}

// Unknown says what of the group could not be looked at; nil when everything could.
func (o Observed) Unknown(want *spec.Group) error {
	var errs []error
	if o.ContainersErr != nil {
		errs = append(errs, fmt.Errorf("look at its containers: %w", o.ContainersErr))
	}
	for _, c := range o.Containers {
		if c.Task == TaskUnknown {
			errs = append(errs, fmt.Errorf("containerd does not say what %s (%s) is doing", c.Name, c.Role))
		}
	}
	if o.VolumesErr != nil {
		errs = append(errs, fmt.Errorf("look at its volumes: %w", o.VolumesErr))
	}
	if want != nil && want.Resources != (spec.Resources{}) && o.Bounds == Unknown {
		errs = append(errs, errors.New("its bounds could not be looked at"))
	}
	linkMatters := want == nil || want.Egress != spec.EgressNone
	if o.Net.Namespace == Unknown || o.Net.Rules == Unknown || o.Net.Link == Unknown && linkMatters {
		errs = append(errs, errors.New("its network could not be looked at"))
	}
	return joinLine(errs)
}

// Begins says that the group is to be made from nothing, as after a boot: there are at most records of containers.
func (o Observed) Begins() bool {
	return o.Net.Pinned == Absent && o.ContainersErr == nil &&
		!slices.ContainsFunc(o.Containers, func(s ContainerState) bool { return s.Task != TaskNone })
}

// Recalled is what a look found, with the ends that containerd has forgotten: a restart of containerd 2 leaves of a task that has
// ended nothing but its container.
func (o Observed) Recalled(h History) Observed {
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		s := &o.Containers[i]
		l := h[s.Name]
		if s.Task == TaskNone && l.Ended && l.ExitStatus != nil && l.Digest == s.Digest && l.of(*s) {
			s.Task, s.ExitStatus, s.ExitedAt, s.OOMKilled = TaskStopped, *l.ExitStatus, l.EndedAt, l.OOMKilled
		}
	}
	return o
}
