// Package plan computes what is to be done next to a group, and what state the group is in, from
// what is wanted and what was observed. It is pure: the same input gives the same plan on every
// machine. What is unknown destroys nothing.
package plan

import (
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// An Input is everything that a plan depends on.
type Input struct {
	Group    string                 // required if Want is nil
	Want     *spec.Group            // nil: the group is to be gone
	Stopped  bool                   // Want is wanted, but nothing of it is to run: it is taken down
	Previous *spec.Group            // optional: the definition before, with the grace of containers that Want lacks
	Observed Observed               // required
	Digests  group.ImageDigests     // optional: the generation's. A container with another digest is replaced
	Records  restart.Records        // optional
	Restart  map[string]bool        // optional: containers to be replaced although they have not changed
	Health   map[string]host.Health // optional: of the containers that run. A missing one is unknown
	Ended    *group.Ended           // optional: the group has ended by itself, so it is taken down
	Passed   *host.Bound            // optional: a soft bound on disk that was passed, so the group ends
	EndedErr error                  // not nil: whether the group has ended is unknown, so nothing is started
	RunEnds  time.Time              // optional: when the job's run has taken as long as its timeout

	// Reread means that the sources of all secrets are read again.
	Reread bool
	// Once means that the group is a run: its app is never started a second time without a failure
	// of its own, and sidecars and the ambassador are stopped together.
	Once bool
	// Keep means that the end of the apps leaves the group as it is.
	Keep bool

	// Reloads has, by container, the reloads that have failed.
	Reloads map[string]FailedReload
	// AssumeReady means that what is started is taken to become ready, or to end well. The plan
	// then has all starts, for a preview.
	AssumeReady bool
	Now         time.Time     // required: the waits of Records end by it
	Layout      layout.Layout // required: its CgroupRoot is in the text of steps
}

// Steps returns the steps from what is observed to what is wanted, in the order to do them. There
// are none if all is as wanted, or if something unknown forbids to continue.
//
// Up: secrets are read before anything else, so that nothing is half made if one can't be had. Then
// the rules come first, so that nothing is created or stopped while they are not as wanted.
// Then containers are removed, apps first. Then come volumes, the creation of all containers at
// once, the reloads of those that go on running, and the starts that may be made now. A start that
// waits until something else is ready, or has ended, is in a later plan. Down: the same in reverse.
func Steps(in Input) []Step {
	if in.Want != nil {
		in.Group = in.Want.Name
	}
	if in.ToRun() == nil {
		return planDown(in)
	}
	return planUp(in)
}

// ToRun returns the definition that is to run. It is nil if nothing of the group is to be there.
func (in Input) ToRun() *spec.Group {
	if in.Stopped || in.scheduled() || in.Ended != nil && !in.keepsEnded() {
		return nil
	}
	return in.Want
}

// scheduled reports whether the group is a template for runs. Nothing of it is ever there.
func (in Input) scheduled() bool { return in.Want != nil && in.Want.Schedule != nil }

// keepsEnded reports whether the group stays as it is although its apps have ended.
func (in Input) keepsEnded() bool {
	return in.Keep && in.Ended != nil && in.Ended.State == group.Completed
}

// Next returns when time alone calls for another plan: at the earliest start that the Records
// delay, when a failed reload is due, and when the job's time is over. Zero means never.
func Next(in Input) time.Time {
	var next time.Time
	if in.ToRun() == nil {
		return next
	}
	if in.RunEnds.After(in.Now) {
		next = in.RunEnds
	}
	for _, f := range in.Reloads {
		if f.Next.After(in.Now) && (next.IsZero() || f.Next.Before(next)) {
			next = f.Next
		}
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.Container(c.Name)
		r := in.Records[c.Name]
		if !ok || s.Task != host.TaskStopped || !in.restarts(c, s) || !r.Next.After(in.Now) {
			continue
		}
		if next.IsZero() || r.Next.Before(next) {
			next = r.Next
		}
	}
	return next
}

func planUp(in Input) []Step {
	p := in.containers()
	remove, create := p.toRemove(), p.toCreate()
	var steps []Step
	if p.lost {
		// Nothing can join the namespace of these containers any more. They are removed before a
		// new one is created, so that there are never two.
		steps, remove = in.takeDown(remove), nil
	}
	steps = append(steps, in.network()...)
	if hold := in.holdSecrets(); len(hold) > 0 {
		// A secret may take long, or not be there. Neither the door nor the end of what is not
		// wanted waits for it, and what is to be replaced runs on.
		if !p.lost {
			steps, remove = append(steps, in.takeDown(p.unwanted)...), p.toReplace()
		}
		steps = append(steps, hold...)
	}
	steps = append(steps, in.keptVolumes()...)
	steps = append(steps, in.takeDown(remove)...)
	steps = append(steps, in.forgetSecrets()...)
	steps = append(steps, in.volumes()...)
	steps = append(steps, in.limits(len(create)+len(p.starts) > 0)...)
	if len(create) > 0 {
		steps = append(steps, Step{Kind: Create, Group: in.Group, Want: in.Want, Targets: create})
	}
	for _, t := range p.toReload() {
		steps = append(steps, Step{Kind: Reload, Group: in.Group, Want: in.Want, Targets: []Target{t}})
	}
	for _, t := range p.toKill() {
		steps = append(steps, Step{Kind: Stop, Group: in.Group, Targets: []Target{t}})
	}
	for _, c := range p.starts {
		steps = append(steps, Step{Kind: Start, Group: in.Group, Want: in.Want, Targets: []Target{target(c.Container)}})
	}
	return steps
}

func planDown(in Input) []Step {
	o := in.Observed
	if o.ContainersErr != nil {
		return nil
	}
	last := o.lastStage()
	var remove []host.ContainerState
	for _, s := range o.Containers {
		if s.Task != host.TaskUnknown && stopStage(s.Role) <= last {
			remove = append(remove, s)
		}
	}
	steps := in.takeDown(remove)
	if o.containersUnknown() {
		return steps
	}
	if o.VolumesErr == nil {
		for _, v := range o.Volumes {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: v})
		}
	}
	if o.SecretsErr == nil && o.Secrets.Any {
		steps = append(steps, Step{Kind: Forget, Group: in.Group})
	}
	if o.Net.Any() {
		steps = append(steps, Step{Kind: Disconnect, Group: in.Group})
	}
	return steps
}

// takeDown returns the steps that stop the running ones of these containers, stage by stage, and
// then remove all of them.
func (in Input) takeDown(remove []host.ContainerState) []Step {
	var steps []Step
	var all []Target
	for stage := range stages {
		var running []Target
		for _, s := range remove {
			if in.stopStage(s.Role) != stage {
				continue
			}
			t := Target{Name: s.Name, Role: s.Role, Stop: in.stopOf(s.Name)}
			all = append(all, t)
			if s.Task == host.TaskRunning {
				running = append(running, t)
			}
		}
		if len(running) > 0 {
			steps = append(steps, Step{Kind: Stop, Group: in.Group, Targets: running})
		}
	}
	if len(all) > 0 {
		steps = append(steps, Step{Kind: Remove, Group: in.Group, Targets: all})
	}
	return steps
}

const stages = 3

// lastStage returns the last stage that may be stopped. The stages after that of a container with
// unknown state have to wait for it.
func (o Observed) lastStage() int {
	last := stages
	for _, s := range o.Containers {
		if s.Task == host.TaskUnknown {
			last = min(last, stopStage(s.Role))
		}
	}
	return last
}

// stopStage returns the stage in which a role is stopped: apps first, the ambassador last. A
// container that has lost its labels, and so its role, is stopped with the apps.
func stopStage(r spec.Role) int {
	switch r {
	case spec.Ambassador:
		return 2
	case spec.Sidecar, spec.Init:
		return 1
	default:
		return 0
	}
}

// stopStage is the function stopStage, but for a run, whose ambassador has nothing to do for its
// sidecars any more.
func (in Input) stopStage(r spec.Role) int {
	if stage := stopStage(r); !in.Once || stage == 0 {
		return stage
	}
	return 1
}

// defaultStop is for a container that no definition has any more.
var defaultStop = spec.Stop{Timeout: 10 * time.Second}

func (in Input) stopOf(name string) spec.Stop {
	for _, g := range []*spec.Group{in.Want, in.Previous} {
		if g == nil {
			continue
		}
		if c := g.Container(name); c != nil {
			return c.Stop
		}
	}
	return defaultStop
}
