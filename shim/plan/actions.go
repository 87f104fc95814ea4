package plan

import (
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// fates is what is to become of a group's containers.
type fates struct {
	drop   []host.ContainerState // to be stopped and removed: not wanted, or replaced
	create []Target              // in start order
	start  []*spec.Container
	dead   []Target // to be stopped because of what their probes say; each is its Because
	lost   bool     // what runs is in a namespace that is not pinned any more
}

// decide looks at each container once. It starts and replaces nothing where the rules can't be known to be in force by
// then, and nothing after a container that containerd doesn't know the state of: the order would be a guess.
func (in Input) decide() fates {
	var f fates
	if in.Observed.ContainersErr != nil {
		return f
	}
	for _, s := range in.Observed.Containers {
		if in.Want.Container(s.Name) == nil && s.Task != host.TaskUnknown {
			f.drop = append(f.drop, s)
		}
	}
	if !in.sealable() || in.unfounded() {
		return f
	}
	f.lost = in.lost()
	o := order{in: in, leaves: map[string]bool{}, pending: map[string]bool{}, started: map[string]bool{}}
	fate := map[string]fate{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if s.Task == host.TaskUnknown {
			break
		}
		fate[c.Name] = in.fateOf(c, s, f.lost)
		o.leaves[c.Name] = fate[c.Name] == replaced
		o.pending[c.Name] = fate[c.Name] != stays && fate[c.Name] != condemned
	}
	f.start = o.starts()
	f.add(in, fate, o.started)
	return f
}

// add makes the fates into what is to be done.
func (f *fates) add(in Input, fate map[string]fate, started map[string]bool) {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		switch fate[c.Name] {
		case made:
			f.create = append(f.create, target(c))
		case replaced:
			f.drop, f.create = append(f.drop, s), append(f.create, target(c))
		case revived:
			if started[c.Name] {
				f.drop, f.create = append(f.drop, s), append(f.create, target(c))
			}
		case condemned:
			t := target(c)
			t.Reason = in.Health[c.Name].Reason
			f.dead = append(f.dead, t)
		}
	}
}

// starts are the containers that the plan starts, in their order.
func (o order) starts() []*spec.Container {
	var out []*spec.Container
	for more := true; more; {
		more = false
		for i := range o.in.Want.Containers {
			c := &o.in.Want.Containers[i]
			if o.pending[c.Name] && !o.started[c.Name] && o.holds(c) == nil {
				o.started[c.Name], more = true, true
				out = append(out, c)
			}
		}
	}
	return out
}

// A fate is what is to become of one container that is wanted.
type fate int

const (
	stays     fate = iota
	made           // there is no task of it
	begun          // it has been created, and is started in its turn
	replaced       // it goes at once, and is made anew
	revived        // it has ended, and is made anew in its turn
	condemned      // its probes say that it is to be restarted: it is stopped, and its end is one as any
)

func (in Input) fateOf(c *spec.Container, s host.ContainerState, lost bool) fate {
	hasTask := s.Task == host.TaskRunning || s.Task == host.TaskCreated
	switch {
	case s.Task == "" || s.Task == host.TaskNone:
		return made
	case in.outdated(c, s), lost && hasTask:
		return replaced
	case s.Task == host.TaskCreated:
		return begun
	case s.Task == host.TaskStopped && in.due(c, s):
		return revived
	case s.Task == host.TaskRunning && in.Health[c.Name].Failed:
		return condemned
	default:
		return stays
	}
}

// outdated says that what there is of the container is to be replaced, whatever it does.
func (in Input) outdated(c *spec.Container, s host.ContainerState) bool {
	return s.Digest != c.Digest || in.OtherImage(c, s) || in.Restart[c.Name] || s.Task == host.TaskStopped && in.Records[c.Name].Replacing
}

// sealable says that the rules are in force or will be after the plan's own network steps. Where there may be processes that
// can't be seen, no namespace is made: theirs may be the one that is not pinned any more. Nor is one beside what runs in it,
// which makes way only when it can come back.
func (in Input) sealable() bool {
	n := in.Observed.Net
	switch n.Namespace {
	case host.Present:
		return n.Rules != host.Unknown
	case host.Absent:
		return n.Pinned == host.Present || !in.Observed.unsure() && !(in.lost() && in.unfounded())
	default:
		return false
	}
}

// unfounded says that something is unknown by which it is decided what runs: the volumes, which the group can't do without, or
// whether it has ended.
func (in Input) unfounded() bool {
	return len(in.Want.Volumes) > 0 && in.Observed.VolumesErr != nil || in.EndedErr != nil
}

// lost says that processes live in a namespace whose pin is gone.
func (in Input) lost() bool {
	return in.Observed.Net.Pinned == host.Absent && slices.ContainsFunc(in.Observed.Containers, func(s host.ContainerState) bool {
		return s.Task == host.TaskRunning || s.Task == host.TaskCreated
	})
}

// OtherImage says that the container was made from something else than what its reference means to the generation.
func (in Input) OtherImage(c *spec.Container, s host.ContainerState) bool {
	digest, ok := in.Digests[c.Image]
	return ok && s.ImageDigest != "" && digest != s.ImageDigest
}

// due says that a container that has ended is to be started again now.
func (in Input) due(c *spec.Container, s host.ContainerState) bool {
	return in.again(c, s) && !in.Records[c.Name].Next.After(in.Now)
}

// network is what has to be done to namespace, rules and link.
func (in Input) network() []Step {
	n := in.Observed.Net
	linked := in.Want.Egress != spec.EgressNone
	seal := n.Namespace == host.Absent
	if !in.sealable() {
		return nil
	}
	var steps []Step
	if seal {
		steps = append(steps, Step{Kind: Seal, Group: in.Group})
	}
	if seal || n.Rules == host.Absent || !linked && n.Link == host.Present {
		steps = append(steps, Step{Kind: Admit, Group: in.Group, Want: in.Want, Cgroup: in.admitted()})
	}
	if linked && (n.Link == host.Absent || seal && n.Link == host.Unknown) {
		steps = append(steps, Step{Kind: Connect, Group: in.Group, Want: in.Want})
	}
	return steps
}

// unsure says that there may be processes that can't be seen.
func (o Observed) unsure() bool {
	return o.ContainersErr != nil ||
		slices.ContainsFunc(o.Containers, func(s host.ContainerState) bool { return s.Task == host.TaskUnknown })
}

// admitted is the cgroup that the rules name as the one that may leave.
func (in Input) admitted() string {
	if in.Want.Egress == spec.EgressDirect {
		return in.Layout.GroupCgroup(in.Group)
	}
	return in.Layout.CgroupParent(in.Group, spec.Ambassador)
}

// volumes mounts what is missing or is another one, gives what is there its size and owner, and takes away what the group has no
// more, once nothing it still has can use it.
func (in Input) volumes() []Step {
	if in.Observed.VolumesErr != nil || in.Observed.ContainersErr != nil || !in.sealable() {
		return nil
	}
	var steps []Step
	for _, v := range in.Want.Volumes {
		if have := spec.FindVolume(in.Observed.Volumes, v.Name); have == nil || !have.Satisfies(v) {
			steps = append(steps, Step{Kind: Mount, Group: in.Group, Want: in.Want, Volume: v})
		}
	}
	if in.Observed.unsure() {
		return steps
	}
	for _, v := range in.Observed.Volumes {
		if spec.FindVolume(in.Want.Volumes, v.Name) == nil {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: v})
		}
	}
	return steps
}
