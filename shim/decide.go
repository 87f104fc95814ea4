package shim

import (
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// fates is what is to become of a group's containers.
type fates struct {
	drop   []ContainerState // to be stopped and removed: not wanted, or replaced
	create []Target         // in start order
	start  []Target         // in start order; every create is also a start
	lost   bool             // what runs is in a namespace that is not pinned any more
	fresh  []string         // containers of which no like one was there: their volumes may have changed
}

// decide looks at each container once. It starts and replaces nothing where the rules can't be known to be in force by
// then, and nothing after a container that containerd doesn't know the state of: the order would be a guess.
func (in PlanInput) decide() fates {
	var f fates
	if in.Observed.ContainersErr != nil {
		return f
	}
	for _, s := range in.Observed.Containers {
		if in.Want.Container(s.Name) == nil && s.Task != TaskUnknown {
			f.drop = append(f.drop, s)
		}
	}
	if !in.sealable() || len(in.Want.Volumes) > 0 && in.Observed.VolumesErr != nil {
		return f
	}
	f.lost = in.lost()
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, have := in.Observed.container(c.Name)
		if have && s.Task == TaskUnknown {
			break
		}
		f.add(in, c, s, have)
	}
	return f
}

func (f *fates) add(in PlanInput, c *spec.Container, s ContainerState, have bool) {
	t := target(c)
	if !have || s.Task == TaskNone {
		f.create, f.start, f.fresh = append(f.create, t), append(f.start, t), append(f.fresh, c.Name)
		return
	}
	hasTask := s.Task == TaskRunning || s.Task == TaskCreated
	changed := s.Digest != c.Digest || in.otherImage(c, s)
	switch {
	case changed, in.Restart[c.Name], f.lost && hasTask, s.Task == TaskStopped && in.due(c, s):
		f.drop = append(f.drop, s)
		f.create, f.start = append(f.create, t), append(f.start, t)
		if changed {
			f.fresh = append(f.fresh, c.Name)
		}
	case s.Task == TaskCreated:
		f.start = append(f.start, t)
	}
}

// sealable says that the rules are in force or will be after the plan's own network steps. Where there may be processes that
// can't be seen, no namespace is made: theirs may be the one that is not pinned any more.
func (in PlanInput) sealable() bool {
	n := in.Observed.Net
	switch n.Namespace {
	case Present:
		return n.Rules != Unknown
	case Absent:
		return n.Pinned == Present || !in.Observed.unsure()
	default:
		return false
	}
}

// lost says that processes live in a namespace whose pin is gone.
func (in PlanInput) lost() bool {
	return in.Observed.Net.Pinned == Absent && slices.ContainsFunc(in.Observed.Containers, func(s ContainerState) bool {
		return s.Task == TaskRunning || s.Task == TaskCreated
	})
}

// otherImage says that the last apply resolved the container's reference to something else than it was made from.
func (in PlanInput) otherImage(c *spec.Container, s ContainerState) bool {
	i, ok := in.Images[c.Image]
	return ok && s.ImageDigest != "" && i.Digest != s.ImageDigest
}

// due says that a container that has ended is to be started again now.
func (in PlanInput) due(c *spec.Container, s ContainerState) bool {
	return again(c.Restart, s.ExitStatus) && !in.History[c.Name].Next.After(in.Now)
}

// network is what has to be done to namespace, rules and link.
func (in PlanInput) network() []Step {
	n := in.Observed.Net
	linked := in.Want.Egress != spec.EgressNone
	seal := n.Namespace == Absent
	if !in.sealable() {
		return nil
	}
	var steps []Step
	if seal {
		steps = append(steps, Step{Kind: Seal, Group: in.Group})
	}
	if seal || n.Rules == Absent || !linked && n.Link == Present {
		steps = append(steps, Step{Kind: Admit, Group: in.Group, Want: in.Want, Cgroup: in.admitted()})
	}
	if linked && (n.Link == Absent || seal && n.Link == Unknown) {
		steps = append(steps, Step{Kind: Connect, Group: in.Group, Want: in.Want})
	}
	return steps
}

// unsure says that there may be processes that can't be seen.
func (o Observed) unsure() bool {
	return o.ContainersErr != nil ||
		slices.ContainsFunc(o.Containers, func(s ContainerState) bool { return s.Task == TaskUnknown })
}

// admitted is the cgroup that the rules name as the one that may leave.
func (in PlanInput) admitted() string {
	if in.Want.Egress == spec.EgressDirect {
		return in.Layout.GroupCgroup(in.Group)
	}
	return in.Layout.CgroupParent(in.Group, spec.Ambassador)
}

// volumes mounts what is missing and what a container with another definition mounts, for its size may be another; and
// takes away what the group has no more, once nothing it still has can use it.
func (in PlanInput) volumes(f fates) []Step {
	if in.Observed.VolumesErr != nil || in.Observed.ContainersErr != nil || !in.sealable() {
		return nil
	}
	var steps []Step
	wanted := map[string]bool{}
	for _, v := range in.Want.Volumes {
		wanted[v.Name] = true
		if !slices.Contains(in.Observed.Volumes, v.Name) || in.mounts(f.fresh, v.Name) {
			steps = append(steps, Step{Kind: Mount, Group: in.Group, Volume: v})
		}
	}
	if in.Observed.unsure() {
		return steps
	}
	for _, name := range in.Observed.Volumes {
		if !wanted[name] {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: spec.Volume{Name: name}})
		}
	}
	return steps
}

// mounts says whether one of the containers mounts the volume.
func (in PlanInput) mounts(containers []string, volume string) bool {
	for _, name := range containers {
		for _, m := range in.Want.Container(name).Mounts {
			if m.Volume == volume {
				return true
			}
		}
	}
	return false
}
