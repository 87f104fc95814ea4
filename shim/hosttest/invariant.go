package hosttest

import (
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An Invariant is what holds whatever happens to a host, and begins the line of a violation.
type Invariant string

const (
	Ruled           Invariant = "never a process without rules"
	Limited         Invariant = "never a process without its group's bounds"
	Retained        Invariant = "never a container of an image that is not held"
	OneImage        Invariant = "never two images of one name in a generation"
	AfterAmbassador Invariant = "never an app before the ambassador is ready"
	Ordered         Invariant = "never a container before those it comes after"
	Single          Invariant = "never two of one container"
	Once            Invariant = "never again what has ended for good"
	Careful         Invariant = "unknown never destroys"
	Contract        Invariant = "never against an interface's contract"
)

// checkStart notes what a program must not find when it begins to run.
func (h *Host) checkStart(id string, c *container) {
	group := c.state.Group
	net := h.nets[group]
	switch {
	case net == nil || !net.pinned || !net.sealed || net.policy == "":
		h.violated(Ruled, "%s was started without rules in force", id)
	case net.number != c.namespace:
		h.violated(Ruled, "%s was started in a namespace that is lost", id)
	}
	if h.unruled[group] {
		h.violated(Ruled, "%s was started although its rules could not be looked at", id)
	}
	want := cmp.Or(h.wants[group], c.group) // what was created may be of an earlier definition
	if h.bounding && want.Resources != (spec.Resources{}) && !h.bounded(want) {
		h.violated(Limited, "%s was started", id)
	}
	if c.state.Role != spec.Ambassador && want.Ambassador() != nil && !h.open[group] && !h.ready(want, want.Ambassador()) {
		h.violated(AfterAmbassador, "%s was started", id)
	}
	h.checkOrder(id, c, want)
}

func (h *Host) checkOrder(id string, c *container, want *spec.Group) {
	for i := range want.Containers {
		before := &want.Containers[i]
		b := h.containers[spec.ID(want.Name, before.Name)]
		if before.Name == c.state.Name {
			return
		}
		switch {
		case rank(before.Role) < rank(c.state.Role) && (b == nil || !b.begun):
			h.violated(Ordered, "%s was started before %s (%s)", id, before.Name, before.Role)
		case before.Role == spec.Init && c.state.Role == spec.Init && (b == nil || b.state.Task != host.TaskStopped && !b.lost):
			h.violated(Ordered, "%s was started before %s (init) had ended", id, before.Name)
		}
	}
}

// noteDoor notes whether the group's ambassador is ready: whoever looks at the containers now may go by it until the next look.
func (h *Host) noteDoor(group string) {
	want := h.wants[group]
	h.open[group] = want != nil && want.Ambassador() != nil && h.ready(want, want.Ambassador())
}

// ready says that the ambassador runs, and has succeeded in its probes, where these have a say. One without such probes is taken
// to be ready by whoever started it and has not looked since.
func (h *Host) ready(want *spec.Group, a *spec.Container) bool {
	c := h.containers[spec.ID(want.Name, a.Name)]
	if c == nil {
		return false
	}
	gated := slices.ContainsFunc(a.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive })
	if c.state.Task != host.TaskRunning && c.state.Task != host.TaskUnknown {
		return !gated && c.begun && c.look == h.looks[want.Name]
	}
	return c.begun && !slices.ContainsFunc(a.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive && !c.answers[p.Kind].good })
}

// answers are what one probe of a container has said.
type answers struct {
	good   bool // it has succeeded, and has not failed as often as it may since
	misses int  // in a row
}

// answered notes what a container's probe said.
func (c *container) answered(p spec.Probe, err error) {
	a := c.answers[p.Kind]
	if err == nil {
		a = answers{good: true}
	} else if a.misses++; a.misses >= p.Failures {
		a.good = false
	}
	c.answers[p.Kind] = a
}

// checkKnown notes the end of something whose state was not known.
func (h *Host) checkKnown(did, id string, c *container) {
	if c != nil && (c.state.Task == host.TaskUnknown || h.unread[c.state.Group]) {
		h.violated(Careful, "%s was %s although its state was not known", id, did)
	}
}

// goesOn notes that somebody acts on a group: what he was told of its ends he knows by now, whatever befalls him.
func (h *Host) goesOn(group string) {
	for _, c := range h.containers {
		if c.state.Group == group && c.shown {
			c.known = true
		}
	}
}

// checkOnce notes that a container is made once more that had ended for good, and was there until containerd forgot its task. One
// that was removed before is made because somebody wants it.
func (h *Host) checkOnce(id string, old *container, req host.CreateRequest) {
	if old == nil || !old.lost || !old.known || !old.own || old.state.Digest != req.Container.Digest {
		return
	}
	net := h.nets[req.Group.Name]
	if net == nil || net.number != old.namespace { // the group begins from nothing
		return
	}
	policy, well := req.Container.Restart.Policy, old.state.ExitStatus == 0
	if policy == spec.RestartNever || well && (policy == spec.RestartOnFailure || req.Container.Role == spec.Init) {
		h.violated(Once, "%s was made again", id)
	}
}

// rank is the order of roles at the start.
func rank(r spec.Role) int {
	switch r {
	case spec.Ambassador:
		return 0
	case spec.Init:
		return 1
	case spec.Sidecar:
		return 2
	default:
		return 3
	}
}
