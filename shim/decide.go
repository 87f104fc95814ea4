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
		f.create, f.start = append(f.create, t), append(f.start, t)
		return
	}
	hasTask := s.Task == TaskRunning || s.Task == TaskCreated
	switch {
	case s.Digest != c.Digest, in.otherImage(c, s), in.Restart[c.Name], f.lost && hasTask, s.Task == TaskStopped && in.due(c, s):
		f.drop = append(f.drop, s)
		f.create, f.start = append(f.create, t), append(f.start, t)
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

// volumes mounts what is missing, resizes what has another size, and takes away what the group has no more, once nothing it
// still has can use it.
func (in PlanInput) volumes() []Step {
	if in.Observed.VolumesErr != nil || in.Observed.ContainersErr != nil || !in.sealable() {
		return nil
	}
	var steps []Step
	for _, v := range in.Want.Volumes {
		if have := find(in.Observed.Volumes, v.Name); have == nil || !sameSize(have.Size, v.Size) {
			steps = append(steps, Step{Kind: Mount, Group: in.Group, Volume: v})
		}
	}
	if in.Observed.unsure() {
		return steps
	}
	for _, v := range in.Observed.Volumes {
		if find(in.Want.Volumes, v.Name) == nil {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: v})
		}
	}
	return steps
}

func find(volumes []spec.Volume, name string) *spec.Volume {
	i := slices.IndexFunc(volumes, func(v spec.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &volumes[i]
}

// sameSize allows for the rounding up to pages, of which the largest are 64 KiB.
func sameSize(mounted, wanted int64) bool { return mounted >= wanted && mounted-wanted < 64<<10 }
