package hosttest

import (
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An Invariant holds in any order of events. The line of a violation begins with it.
type Invariant string

const (
	Ruled           Invariant = "never a process without rules"
	Limited         Invariant = "never a process without its group's limits"
	Retained        Invariant = "never a container of an image that is not retained"
	OneImage        Invariant = "never two images of one name in a generation"
	AfterAmbassador Invariant = "never an app before the ambassador is ready"
	Ordered         Invariant = "never a container before those it comes after"
	Single          Invariant = "never two of one container"
	Once            Invariant = "never again what has ended for good"
	Careful         Invariant = "unknown never destroys"
	Contract        Invariant = "never against an interface's contract"
)

// checkStart records what a program must not find when it begins to run.
func (h *Host) checkStart(id string, c *container) {
	group := c.state.Group
	net := h.nets[group]
	switch {
	case net == nil || !net.pinned || !net.sealed || net.policy == "":
		h.violated(Ruled, "%s was started without rules in force", id)
	case net.number != c.namespace:
		h.violated(Ruled, "%s was started in a namespace that is lost", id)
	}
	if h.rulesUnknown[group] {
		h.violated(Ruled, "%s was started although its rules were unknown", id)
	}
	want := cmp.Or(h.wanted[group], c.group) // the container may be of an earlier definition
	if h.limiting && want.Resources != (spec.Resources{}) && !h.limited(want) {
		h.violated(Limited, "%s was started", id)
	}
	if c.state.Role != spec.Ambassador && want.Ambassador() != nil && !h.ambassadorReady[group] && !h.ready(want, want.Ambassador()) {
		h.violated(AfterAmbassador, "%s was started", id)
	}
	h.checkOrder(id, c, want)
}

// checkOrder records a container that starts before one that has to start or end first.
func (h *Host) checkOrder(id string, c *container, want *spec.Group) {
	for i := range want.Containers {
		before := &want.Containers[i]
		b := h.containers[spec.ID(want.Name, before.Name)]
		if before.Name == c.state.Name {
			return
		}
		switch {
		case rank(before.Role) < rank(c.state.Role) && (b == nil || !b.started):
			h.violated(Ordered, "%s was started before %s (%s)", id, before.Name, before.Role)
		case before.Role == spec.Init && c.state.Role == spec.Init && (b == nil || b.state.Task != host.TaskStopped && !b.taskLost):
			h.violated(Ordered, "%s was started before %s (init) had ended", id, before.Name)
		}
	}
}

// noteReadiness notes whether the group's ambassador is ready. A keeper that observes the
// containers now may go by that until its next observation.
func (h *Host) noteReadiness(group string) {
	want := h.wanted[group]
	h.ambassadorReady[group] = want != nil && want.Ambassador() != nil && h.ready(want, want.Ambassador())
}

// ready reports whether the ambassador runs, and its start-up and ready probes have succeeded.
// Without such probes a keeper that has started it takes it to be ready until its next observation.
func (h *Host) ready(want *spec.Group, a *spec.Container) bool {
	c := h.containers[spec.ID(want.Name, a.Name)]
	if c == nil {
		return false
	}
	gated := slices.ContainsFunc(a.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive })
	if c.state.Task != host.TaskRunning && c.state.Task != host.TaskUnknown {
		return !gated && c.started && c.startedAt == h.observations[want.Name]
	}
	return c.started && !slices.ContainsFunc(a.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive && !c.answers[p.Kind].good })
}

// A verdict is the result of one probe of a container.
type verdict struct {
	good   bool // it has succeeded, and has not failed too often since
	misses int  // in a row
}

// answered notes an answer of a container's probe.
func (c *container) answered(p spec.Probe, err error) {
	a := c.answers[p.Kind]
	if err == nil {
		a = verdict{good: true}
	} else if a.misses++; a.misses >= p.Failures {
		a.good = false
	}
	c.answers[p.Kind] = a
}

// checkUncertain records that a container was stopped or removed although its state was unknown.
func (h *Host) checkUncertain(did, id string, c *container) {
	if c != nil && (c.state.Task == host.TaskUnknown || h.containersUnknown[c.state.Group]) {
		h.violated(Careful, "%s was %s although its state was unknown", id, did)
	}
}

// noteAction notes that a keeper acts on a group. The ends that it has observed are known from now
// on: the next keeper has to know them too.
func (h *Host) noteAction(group string) {
	for _, c := range h.containers {
		if c.state.Group == group && c.endObserved {
			c.endKnown = true
		}
	}
}

// checkOnce records that a container is created again although it had ended for good and only its
// task was lost. A container that was removed first may be created: an operator wants it.
func (h *Host) checkOnce(id string, old *container, req host.CreateRequest) {
	if old == nil || !old.taskLost || !old.endKnown || !old.endedItself || old.state.Digest != req.Container.Digest {
		return
	}
	net := h.nets[req.Group.Name]
	if net == nil || net.number != old.namespace { // the group begins from nothing
		return
	}
	policy, well := req.Container.Restart.Policy, old.state.ExitStatus == 0
	if policy == spec.RestartNever || well && (policy == spec.RestartOnFailure || req.Container.Role == spec.Init) {
		h.violated(Once, "%s was created again", id)
	}
}

// rank returns the place of a role in the order of starts.
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
