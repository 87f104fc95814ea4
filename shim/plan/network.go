package plan

import (
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// network returns the steps for namespace, rules and link.
func (in Input) network() []Step {
	n := in.Observed.Net
	linked := in.Want.Egress != spec.EgressNone
	seal := n.Namespace == host.Absent
	if !in.rulesAssured() {
		return nil
	}
	var steps []Step
	if seal {
		steps = append(steps, Step{Kind: Seal, Group: in.Group})
	}
	if seal || n.Rules == host.Absent || !linked && n.Link == host.Present {
		steps = append(steps, Step{Kind: Admit, Group: in.Group, Want: in.Want, Cgroup: in.admittedCgroup()})
	}
	if linked && (n.Link == host.Absent || seal && n.Link == host.Unknown) {
		steps = append(steps, Step{Kind: Connect, Group: in.Group, Want: in.Want})
	}
	return steps
}

// admittedCgroup returns the cgroup that the rules let out.
func (in Input) admittedCgroup() string {
	if in.Want.Egress == spec.EgressDirect {
		return in.Layout.GroupCgroup(in.Group)
	}
	return in.Layout.CgroupParent(in.Group, spec.Ambassador)
}

// rulesAssured reports whether the rules are in force, or will be after the plan's own network
// steps. No namespace is created while there may be processes that are not observed: they may live
// in one that is not pinned any more. Nor is one created beside the lost namespace of running
// containers. Those are removed first, and only if they can be created again.
func (in Input) rulesAssured() bool {
	n := in.Observed.Net
	switch n.Namespace {
	case host.Present:
		return n.Rules != host.Unknown
	case host.Absent:
		return n.Pinned == host.Present || !in.Observed.containersUnknown() && !(in.namespaceLost() && in.prerequisitesUnknown())
	default:
		return false
	}
}

// namespaceLost reports whether containers have processes in a namespace whose pin is gone.
func (in Input) namespaceLost() bool {
	return in.Observed.Net.Pinned == host.Absent && slices.ContainsFunc(in.Observed.Containers, hasTask)
}
