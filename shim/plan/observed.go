package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// Observed is the result of one observation of the host, for one group.
type Observed struct {
	Net           host.NetState
	Limits        host.Presence // of the whole group: exactly the wanted ones are in force
	Volumes       []spec.Volume // mounted
	VolumesErr    error         // not nil: the volumes are unknown, and why
	Secrets       host.Secrets
	SecretsErr    error // not nil: what is held of its secrets is unknown, and why
	Containers    []host.ContainerState
	ContainersErr error // not nil: the containers are unknown, and why

	// Outdated has, by container, the volumes that it has an earlier mount of.
	Outdated map[string][]string
}

// Nothing returns the observation of a host that has nothing of the group. A plan without a host
// starts from it.
func Nothing() Observed {
	return Observed{Net: host.NetState{Pinned: host.Absent, Namespace: host.Absent, Rules: host.Absent, Link: host.Absent}}
}

// Container returns the state of the container with that name, and whether there is one.
func (o Observed) Container(name string) (host.ContainerState, bool) {
	i := slices.IndexFunc(o.Containers, func(c host.ContainerState) bool { return c.Name == name })
	if i < 0 {
		return host.ContainerState{}, false
	}
	return o.Containers[i], true
}

// Gone reports whether nothing of the group is left. It is false if anything is unknown.
func (o Observed) Gone() bool {
	return o.ContainersErr == nil && len(o.Containers) == 0 && o.VolumesErr == nil && len(o.Volumes) == 0 && o.SecretsErr == nil && !o.Secrets.Any &&
		o.Net.Pinned == host.Absent && o.Net.Namespace == host.Absent && o.Net.Rules == host.Absent && o.Net.Link == host.Absent
}

// Unknown returns an error that names what could not be observed. It is nil if everything was
// observed. want decides what matters. A nil want means that the group is to be gone.
func (o Observed) Unknown(want *spec.Group) error {
	var errs []error
	if o.ContainersErr != nil {
		errs = append(errs, fmt.Errorf("look at its containers: %w", o.ContainersErr))
	}
	errs = append(errs, o.unknownContainers()...)
	if o.VolumesErr != nil {
		errs = append(errs, fmt.Errorf("look at its volumes: %w", o.VolumesErr))
	}
	if o.SecretsErr != nil {
		errs = append(errs, fmt.Errorf("look at its secrets: %w", o.SecretsErr))
	}
	if want != nil && (want.Resources != (spec.Resources{}) || want.BoundedDisk()) && o.Limits == host.Unknown {
		errs = append(errs, errors.New("its limits could not be looked at"))
	}
	linkMatters := want == nil || want.Egress != spec.EgressNone
	if o.Net.Namespace == host.Unknown || o.Net.Rules == host.Unknown || o.Net.Link == host.Unknown && linkMatters {
		errs = append(errs, errors.New("its network could not be looked at"))
	}
	return hint.Join(errs)
}

// unknownContainers returns an error for each reason why the state of containers is unknown. Those
// of one shim have one.
func (o Observed) unknownContainers() (errs []error) {
	var whys []error
	names := map[string][]string{} // by the text of a reason
	for _, c := range o.Containers {
		if c.Task != host.TaskUnknown {
			continue
		}
		text := hint.Text(c.Why)
		if names[text] == nil {
			whys = append(whys, c.Why)
		}
		names[text] = append(names[text], fmt.Sprintf("%s (%s)", c.Name, c.Role))
	}
	for _, why := range whys {
		err := fmt.Errorf("containerd does not know the state of %s", strings.Join(names[hint.Text(why)], ", "))
		if why != nil {
			err = fmt.Errorf("%w: %w", err, why)
		}
		errs = append(errs, err)
	}
	return errs
}

// containersUnknown reports whether there may be processes that were not observed.
func (o Observed) containersUnknown() bool {
	return o.ContainersErr != nil ||
		slices.ContainsFunc(o.Containers, func(s host.ContainerState) bool { return s.Task == host.TaskUnknown })
}

// FromNothing reports whether the group is to be created from nothing, as after a boot. At most
// containers without tasks exist.
func (o Observed) FromNothing() bool {
	return o.Net.Pinned == host.Absent && o.ContainersErr == nil &&
		!slices.ContainsFunc(o.Containers, func(s host.ContainerState) bool { return s.Task != host.TaskNone })
}

// Restored returns the observation with the ends that containerd has forgotten. After a restart of
// containerd 2, a task that had ended is gone, and only its container is left.
func (o Observed) Restored(records restart.Records) Observed {
	o.Containers = slices.Clone(o.Containers)
	for i := range o.Containers {
		s := &o.Containers[i]
		r := records[s.Name]
		if s.Task == host.TaskNone && r.Ended && r.ExitStatus != nil && r.Digest == s.Digest && r.IsOf(*s) {
			s.Task, s.ExitStatus, s.ExitedAt, s.OOMKilled = host.TaskStopped, *r.ExitStatus, r.EndedAt, r.OOMKilled
		}
	}
	return o
}
