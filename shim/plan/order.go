package plan

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// The start order of a group:
//
//	ambassador ─ready─► inits, one by one ─ended well─► sidecars ─ready─► apps
//
// Sidecars wait for the other sidecars in their After, and apps for the other apps.
//
// A container that is started again waits for the ambassador, and for no other that has run before.
// One that it comes after and that is new, or is being replaced, is started first.

// blockedBy returns a container that c has to wait for before it is started. It is nil if c may
// start.
func (p containersPlan) blockedBy(c *containerPlan) *containerPlan {
	later := false
	for _, d := range p.wanted {
		again := c.hasRun() && d.hasRun()
		if later = later || d == c; waitsFor(c.Container, d.Container, later, again) && p.missing(d) != "" {
			return d
		}
	}
	return nil
}

// waitsFor reports whether the start of c waits for d. later means that d is c, or comes after it
// in the group file. again means that both have been started before.
func waitsFor(c, d *spec.Container, later, again bool) bool {
	switch {
	case c.Role == spec.Ambassador, c.Name == d.Name:
		return false
	case d.Role == spec.Ambassador:
		return true
	case c.Role == spec.Init:
		return d.Role == spec.Init && !later
	case again:
		return false
	case d.Role == spec.Init:
		return true
	case d.Role == spec.Sidecar && c.Role == spec.App:
		return true
	default:
		return c.Role == d.Role && slices.Contains(c.After, d.Name)
	}
}

// missing returns what others wait for, in an operator's words: "proxy (ambassador) to be ready:
// its ready probe ...". It is empty if d is ready. An init is ready once it has ended well.
func (p containersPlan) missing(d *containerPlan) string {
	if p.in.AssumeReady {
		if d.toStart() && !d.started {
			return readyText(d.Container)
		}
		return ""
	}
	switch {
	case d.started:
		if d.Role != spec.Init && !hasReadyCheck(d.Container) {
			return "" // it is ready as soon as it runs
		}
		return readyText(d.Container)
	case d.action != actionReplace && d.state.Task == host.TaskStopped:
		if d.Role != spec.Ambassador && p.in.endedWell(d.Container, d.state) {
			return ""
		}
		return readyText(d.Container) + ": it ended with " + p.in.exitOf(d.state).String()
	case d.action == actionReload && hasReadyCheck(d.Container):
		return readyText(d.Container) // its probes are asked anew
	case d.action != actionReplace && d.state.Task == host.TaskRunning && d.Role != spec.Init:
		h := p.in.healthOf(d.Container)
		if h.Ready {
			return ""
		}
		return readyText(d.Container) + reasonText(h)
	default:
		return readyText(d.Container)
	}
}

// rootCause returns the container that is waited for in the end: c, or what c waits for, or what
// that waits for, and so on.
func (p containersPlan) rootCause(c *containerPlan) *containerPlan {
	if c.state.Task == host.TaskRunning {
		return c
	}
	if d := p.blockedBy(c); d != nil {
		return p.rootCause(d)
	}
	return c
}

// readyText returns what the start of others waits for: "proxy (ambassador) to be ready".
func readyText(c *spec.Container) string {
	if c.Role == spec.Init {
		return c.Title() + " to end well"
	}
	return c.Title() + " to be ready"
}

func reasonText(h host.Health) string {
	if h.Reason == "" {
		return ""
	}
	return ": " + h.Reason
}

// waitText returns what the step that starts a container adds about the wait after it.
func waitText(c *spec.Container) string {
	switch {
	case c.Role == spec.Init:
		return ", wait until it has ended well"
	case hasReadyCheck(c):
		return ", wait until it is ready"
	default:
		return ""
	}
}

// hasReadyCheck reports whether probes decide if the container is ready. Without them it is ready
// as soon as it runs.
func hasReadyCheck(c *spec.Container) bool {
	return slices.ContainsFunc(c.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive })
}

// healthOf returns the health of a container that runs.
func (in Input) healthOf(c *spec.Container) host.Health {
	h := in.Health[c.Name]
	if !hasReadyCheck(c) || in.AssumeReady {
		h.Started, h.Ready = true, true
	}
	h.Ready = h.Ready && !h.Failed
	return h
}

// Blocked returns what the group waits for to become ready, if that comes about by itself: "waits
// for proxy (ambassador) to be ready: its ready probe ...". It is empty if the group waits for
// nothing. [Problem] returns the error for a container that has ended.
func Blocked(in Input) string {
	if in.ToRun() == nil || in.Observed.ContainersErr != nil {
		return ""
	}
	p := in.keepAll()
	for _, c := range p.wanted {
		if !optional(c.Container) && p.missing(c) != "" {
			return "waits for " + p.missing(p.rootCause(c))
		}
	}
	return ""
}

// WaitingHint returns what to do if a wait gets long because of failing probes. It is empty if no
// probe has failed often enough.
func WaitingHint(in Input) string {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if s.Task == host.TaskRunning && !optional(c) && !in.healthOf(c).Ready && !in.healthOf(c).Unknown() {
			return fmt.Sprintf("see \"sallyport logs %s.%s\"%s", in.Want.Name, c.Name, in.aloneText(c))
		}
	}
	return ""
}

// aloneText returns what to do if c is an ambassador whose members have not run yet: one of them
// may have to answer its probe. It is empty for all others.
func (in Input) aloneText(c *spec.Container) string {
	if c.Role != spec.Ambassador {
		return ""
	}
	for i := range in.Want.Containers {
		s, seen := in.Observed.Container(in.Want.Containers[i].Name)
		if other := &in.Want.Containers[i]; other.Name != c.Name && (!seen || s.Task != host.TaskCreated) {
			return ""
		}
	}
	return "; the other containers start when it is ready, so its probe can't need their answers: have it answer by itself"
}

// waiting returns what one container waits for to be started, or why it is not ready. It is empty
// if it waits for nothing.
func (in Input) waiting(c *spec.Container, s host.ContainerState) string {
	if in.ToRun() == nil || s.Task == host.TaskUnknown {
		return ""
	}
	if s.Task == host.TaskRunning {
		if h := in.healthOf(c); c.Role != spec.Init && !h.Ready {
			return "is not ready" + reasonText(h)
		}
		return ""
	}
	if s.Task == host.TaskStopped && !in.restarts(c, s) {
		return ""
	}
	p := in.keepAll()
	i := slices.IndexFunc(p.wanted, func(w *containerPlan) bool { return w.Name == c.Name })
	if d := p.blockedBy(p.wanted[i]); d != nil {
		return "waits for " + p.missing(d)
	}
	return ""
}
