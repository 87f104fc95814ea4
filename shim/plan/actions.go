package plan

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An action is done by a plan to one wanted container.
type action int

const (
	actionKeep    action = iota
	actionCreate         // it has no task: it is created, and started in its turn
	actionStart          // it has been created: it is started in its turn
	actionReplace        // it is removed at once, created, and started in its turn
	actionRestart        // it has ended: it is removed, created and started in its turn
	actionKill           // its probes failed, or it may not go on: it is stopped, and its end is treated like any other
	actionReload         // files of it have other contents: it goes on running and gets a signal
)

// A containerPlan is one wanted container with its state and what is done to it.
type containerPlan struct {
	*spec.Container
	state   host.ContainerState // zero: there is no such container
	action  action
	started bool // the plan starts it; set one by one, in start order
}

// removed reports whether the plan removes the container.
func (c *containerPlan) removed() bool {
	return c.action == actionReplace || c.action == actionRestart && c.started
}

// created reports whether the plan creates the container, after its removal if there was one.
func (c *containerPlan) created() bool { return c.action == actionCreate || c.removed() }

// toStart reports whether the container is to be started, now or in a later plan.
func (c *containerPlan) toStart() bool {
	return c.action != actionKeep && c.action != actionKill && c.action != actionReload
}

// hasRun reports whether the container has been started, and is not to be replaced. It is false for
// one whose state is unknown.
func (c *containerPlan) hasRun() bool {
	before := c.state.Task == host.TaskRunning || c.state.Task == host.TaskStopped
	return c.started || before && c.action != actionReplace
}

// A containersPlan has the actions of a plan for all containers of a group.
type containersPlan struct {
	in       Input
	wanted   []*containerPlan      // in the order of the group file
	unwanted []host.ContainerState // they are removed
	starts   []*containerPlan      // in start order
	lost     bool                  // containers run in a namespace that is not pinned any more
}

// keepAll returns the plan that does nothing. It answers what the containers wait for, as observed.
func (in Input) keepAll() containersPlan {
	p := containersPlan{in: in}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, _ := in.Observed.Container(c.Name)
		p.wanted = append(p.wanted, &containerPlan{Container: c, state: s})
	}
	return p
}

// containers decides about each container. It starts and replaces nothing unless the rules are
// known to be in force by then. It starts and replaces nothing after a container whose state
// containerd doesn't know: the start order would be a guess.
func (in Input) containers() containersPlan {
	p := in.keepAll()
	if in.Observed.ContainersErr != nil {
		return p
	}
	for _, s := range in.Observed.Containers {
		if in.Want.Container(s.Name) == nil && s.Task != host.TaskUnknown {
			p.unwanted = append(p.unwanted, s)
		}
	}
	if !in.rulesAssured() || in.prerequisitesUnknown() {
		return p
	}
	p.lost = in.namespaceLost()
	for _, c := range p.wanted {
		if c.state.Task == host.TaskUnknown {
			break
		}
		c.action = in.actionFor(c.Container, c.state, p.lost)
	}
	for more := true; more; {
		more = false
		for _, c := range p.wanted {
			if c.toStart() && !c.started && p.blockedBy(c) == nil {
				c.started, more = true, true
				p.starts = append(p.starts, c)
			}
		}
	}
	return p
}

// actionFor decides about one container. lost means that containers run in a lost namespace.
func (in Input) actionFor(c *spec.Container, s host.ContainerState, lost bool) action {
	switch {
	case in.Once && in.Ended != nil && c.Role == spec.App:
		return actionKeep
	case s.Task == "" || s.Task == host.TaskNone:
		return actionCreate
	case s.Task == host.TaskRunning && s.Forbidden != "":
		return actionKill // at once: to be replaced, it would run until that can be done
	case in.outdated(c, s), hasTask(s) && (s.Forbidden != "" || lost || in.volumeOutdated(c.Name) || in.secretsReplace(c, s)):
		return actionReplace
	case s.Task == host.TaskCreated:
		return actionStart
	case s.Task == host.TaskStopped && in.restartDue(c, s):
		return actionRestart
	case s.Task == host.TaskRunning && in.Health[c.Name].Failed:
		return actionKill
	case in.NeedsReload(c, s) && !in.Reloads[c.Name].Next.After(in.Now):
		return actionReload
	default:
		return actionKeep
	}
}

// A FailedReload is a reload that has failed and is tried again later. Until then, the rest of the
// group goes on without it.
type FailedReload struct {
	Next time.Time // when it is due
	Err  error
}

// NeedsReload reports whether the program of a container needs a reload: files of it have other
// contents, or secrets other values.
func (in Input) NeedsReload(c *spec.Container, s host.ContainerState) bool {
	return s.Task == host.TaskRunning && s.Digest == c.Digest && (s.Loaded != c.Loaded() || c.OnSecrets(in.untold(c)) == spec.SecretReloads)
}

// outdated reports whether the container is to be replaced, with any task state. Without a program
// that runs, other contents of a file replace it like any other change: there is none to be told.
func (in Input) outdated(c *spec.Container, s host.ContainerState) bool {
	idle := s.Task == host.TaskStopped || s.Task == host.TaskCreated
	return s.Digest != c.Digest || in.OtherImage(c, s) || in.Restart[c.Name] || s.Task == host.TaskStopped && in.Records[c.Name].Replacing ||
		idle && s.Loaded != c.Loaded()
}

// restartDue reports whether a container that has ended is to be started again now.
func (in Input) restartDue(c *spec.Container, s host.ContainerState) bool {
	return in.restarts(c, s) && !in.Records[c.Name].Next.After(in.Now)
}

// prerequisitesUnknown reports whether something is unknown that decides what may run: the group's
// volumes, its secrets, or whether the group has ended.
func (in Input) prerequisitesUnknown() bool {
	return len(in.Want.Volumes) > 0 && in.Observed.VolumesErr != nil || len(in.Want.Secrets) > 0 && in.Observed.SecretsErr != nil || in.EndedErr != nil
}

// toRemove lists the containers that are stopped and removed.
func (p containersPlan) toRemove() []host.ContainerState {
	return slices.Concat(p.unwanted, p.toReplace())
}

// toReplace lists those of them that are wanted, and so created again.
func (p containersPlan) toReplace() (out []host.ContainerState) {
	for _, c := range p.wanted {
		if c.removed() {
			out = append(out, c.state)
		}
	}
	return out
}

// toCreate lists the containers that are created, all at once.
func (p containersPlan) toCreate() []Target {
	var out []Target
	for _, c := range p.wanted {
		if c.created() {
			out = append(out, target(c.Container))
		}
	}
	return out
}

// toReload lists the containers that get a signal, with the files that have changed.
func (p containersPlan) toReload() []Target {
	var out []Target
	for _, c := range p.wanted {
		if c.action == actionReload {
			t := target(c.Container)
			p.in.fillReload(&t, c)
			out = append(out, t)
		}
	}
	return out
}

// toKill lists the containers that are stopped because of their probes, or because they may not go
// on. Those have no grace.
func (p containersPlan) toKill() []Target {
	var out []Target
	for _, c := range p.wanted {
		if c.action == actionKill {
			t := target(c.Container)
			if t.Reason = p.in.Health[c.Name].Reason; c.state.Forbidden != "" {
				t.Reason, t.Stop = c.state.Forbidden, spec.Stop{}
			}
			out = append(out, t)
		}
	}
	return out
}
