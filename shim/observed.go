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

// gone says that nothing of the group is left, for sure.
func (o Observed) gone() bool {
	return o.ContainersErr == nil && len(o.Containers) == 0 && o.VolumesErr == nil && len(o.Volumes) == 0 &&
		o.Net.Pinned == Absent && o.Net.Namespace == Absent && o.Net.Rules == Absent && o.Net.Link == Absent
}

// some says that there is something of a network, for sure. That something is pinned does not count for itself: with all
// else unknown it may be what another look would show to be in use.
func (n NetState) some() bool {
	blind := n.Namespace == Unknown && n.Rules == Unknown && n.Link == Unknown
	return n.Namespace == Present || n.Rules == Present || n.Link == Present || n.Pinned == Present && !blind
}

// unknown says what of the group could not be looked at; nil when everything could.
func (o Observed) unknown(want *spec.Group) error {
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

// joinLine makes one error of several, on one line; nil of none.
func joinLine(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; %w", errs[0], joinLine(errs[1:]))
}
