package plan

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An order says who may be started when:
//
//	ambassador ─ready─► inits, one by one ─ended well─► sidecars, each after its own ─ready─► apps
//
// What was started once and has ended waits for the ambassador alone: those it came after have been ready.
type order struct {
	in      Input
	leaves  map[string]bool // by name: what there is of it is taken away by this plan
	pending map[string]bool // the plan would start it
	started map[string]bool // the plan does start it, before what is asked about
}

// seenOrder is the order as far as what is seen goes: the plan does nothing.
func (in Input) seenOrder() order { return order{in: in} }

// holds is what a container has to wait for before it is started; nil: nothing.
func (o order) holds(c *spec.Container) *spec.Container {
	s, _ := o.in.Observed.Container(c.Name)
	again := s.Task == host.TaskStopped && !o.leaves[c.Name]
	later := false
	for i := range o.in.Want.Containers {
		d := &o.in.Want.Containers[i]
		if later = later || d.Name == c.Name; !comesAfter(c, d, later, again) {
			continue
		}
		if o.lacks(d) != "" {
			return d
		}
	}
	return nil
}

// comesAfter says that c waits for d. later: d is c or stands below it. again: c has been started before.
func comesAfter(c, d *spec.Container, later, again bool) bool {
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
	case d.Role == spec.Sidecar:
		return c.Role == spec.App || slices.Contains(c.After, d.Name)
	default:
		return false
	}
}

// lacks is what is to be waited for of a container, in an operator's words: "proxy (ambassador) to be ready: its ready probe ...";
// empty: it is ready, or, of an init, has ended well.
func (o order) lacks(d *spec.Container) string {
	s, have := o.in.Observed.Container(d.Name)
	have = have && !o.leaves[d.Name]
	if o.in.AssumeReady {
		if o.pending[d.Name] && !o.started[d.Name] {
			return until(d)
		}
		return ""
	}
	switch {
	case o.started[d.Name]:
		if d.Role != spec.Init && !gated(d) {
			return "" // it is ready when it runs
		}
		return until(d)
	case have && s.Task == host.TaskStopped:
		if d.Role != spec.Ambassador && o.in.endedWell(d, s) {
			return ""
		}
		return until(d) + ": it ended with " + o.in.endText(s)
	case have && s.Task == host.TaskRunning && d.Role != spec.Init:
		h := o.in.healthOf(d)
		if h.Ready {
			return ""
		}
		return until(d) + said(h)
	default:
		return until(d)
	}
}

// until is what a start waits for before the next one: "proxy (ambassador) to be ready".
func until(c *spec.Container) string {
	if c.Role == spec.Init {
		return c.Title() + " to end well"
	}
	return c.Title() + " to be ready"
}

func said(h host.Health) string {
	if h.Reason == "" {
		return ""
	}
	return ": " + h.Reason
}

// gated says that the container's probes have a say in whether it is ready.
func gated(c *spec.Container) bool {
	return slices.ContainsFunc(c.Probes, func(p spec.Probe) bool { return p.Kind != spec.ProbeLive })
}

// healthOf is what is known of the container, which runs.
func (in Input) healthOf(c *spec.Container) host.Health {
	h := in.Health[c.Name]
	if !gated(c) || in.AssumeReady {
		h.Started, h.Ready = true, true
	}
	h.Ready = h.Ready && !h.Failed
	return h
}

// Blocked is what keeps the group from being whole and is to come about of itself: "waits for proxy (ambassador) to be ready:
// ready probe: ...". Empty: nothing is. What has ended is told by complaint.
func Blocked(in Input) string {
	if in.ToRun() == nil || in.Observed.ContainersErr != nil {
		return ""
	}
	o := in.seenOrder()
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		if minor(c) || o.lacks(c) == "" {
			continue
		}
		return "waits for " + o.lacks(o.origin(c))
	}
	return ""
}

// origin is what is waited for in the end where it is c: what c comes after, what that comes after, and so on.
func (o order) origin(c *spec.Container) *spec.Container {
	s, _ := o.in.Observed.Container(c.Name)
	if s.Task == host.TaskRunning {
		return c
	}
	if d := o.holds(c); d != nil {
		return o.origin(d)
	}
	return c
}

// WaitingHint is what to do about a wait that a probe's failures make long; empty: nothing yet.
func WaitingHint(in Input) string {
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		if s.Task == host.TaskRunning && !minor(c) && !in.healthOf(c).Ready && !in.healthOf(c).Unknown() {
			return fmt.Sprintf("see \"sallyport logs %s.%s\"", in.Want.Name, c.Name)
		}
	}
	return ""
}

// waiting is what one container waits for, or lacks to be ready; empty: nothing.
func (in Input) waiting(c *spec.Container, s host.ContainerState) string {
	if in.ToRun() == nil || s.Task == host.TaskUnknown {
		return ""
	}
	o := in.seenOrder()
	if s.Task != host.TaskRunning {
		if s.Task == host.TaskStopped && !in.again(c, s) {
			return ""
		}
		if d := o.holds(c); d != nil {
			return "waits for " + o.lacks(d)
		}
		return ""
	}
	if h := in.healthOf(c); c.Role != spec.Init && !h.Ready {
		return "is not ready" + said(h)
	}
	return ""
}

// thenText is what a step that starts a container says of the wait after it.
func thenText(c *spec.Container) string {
	switch {
	case c.Role == spec.Init:
		return ", wait until it has ended well"
	case gated(c):
		return ", wait until it is ready"
	default:
		return ""
	}
}
