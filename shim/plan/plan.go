package plan

import (
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// A Input is everything that Plan looks at.
type Input struct {
	Group       string                 // required where Want is nil
	Want        *spec.Group            // nil: the group is to be gone
	Stopped     bool                   // Want is wanted, and nothing of it is to run: it is taken down, as one that is to be gone
	Previous    *spec.Group            // optional: the definition before, for the grace of containers that Want has no more
	Observed    Observed               // required
	Digests     group.ImageDigests     // optional: what the generation's images are. A container of another digest is replaced
	Records     restart.Records        // optional: nil is one that has seen nothing
	Restart     map[string]bool        // optional: containers to be replaced although nothing in them changed
	Health      map[string]host.Health // optional: what the probes say of what runs; of what is not in it nothing is known
	Ended       *group.Ended           // optional: the group has ended of its own accord: it is taken down, as one that is stopped
	EndedErr    error                  // not nil: whether it has ended is unknown, and why. Nothing is started then
	AssumeReady bool                   // whatever is started is taken to become ready, or to end well: the whole order, for a preview
	Now         time.Time              // required: ends the waits of History
	Layout      layout.Layout          // required: its CgroupRoot is part of the text
}

// Steps returns the steps from what is to what should be, in the order they are to be done; none when all is as it should be,
// or when what is unknown forbids to go on. It is pure.
//
// Up: rules before anything else, so that nothing is created or stopped while they are not as wanted; then what goes, apps
// first; then volumes, every container at once, and the starts that may be made now: those whose turn comes only when something
// else is ready, or has ended, are in a later plan. Down: the same in reverse.
func Steps(in Input) []Step {
	if in.Want != nil {
		in.Group = in.Want.Name
	}
	if in.ToRun() == nil {
		return planDown(in)
	}
	return planUp(in)
}

// ToRun is the definition that the host is to be like; nil: nothing of the group is to be there.
func (in Input) ToRun() *spec.Group {
	if in.Stopped || in.Ended != nil {
		return nil
	}
	return in.Want
}

// Next says when time alone calls for another look: the earliest start that History makes wait. Zero: never.
func Next(in Input) time.Time {
	var next time.Time
	if in.ToRun() == nil {
		return next
	}
	for _, c := range in.Want.Containers {
		s, ok := in.Observed.Container(c.Name)
		l := in.Records[c.Name]
		if !ok || s.Task != host.TaskStopped || !in.again(&c, s) || !l.Next.After(in.Now) {
			continue
		}
		if next.IsZero() || l.Next.Before(next) {
			next = l.Next
		}
	}
	return next
}

func planUp(in Input) []Step {
	f := in.decide()
	var steps []Step
	if f.lost {
		// What runs does so in a namespace that nothing can be joined to any more; a new one must not be made beside it.
		steps = append(steps, in.takeDown(f.drop)...)
		f.drop = nil
	}
	steps = append(steps, in.network()...)
	steps = append(steps, in.takeDown(f.drop)...)
	steps = append(steps, in.volumes()...)
	steps = append(steps, in.limits(len(f.create)+len(f.start) > 0)...)
	if len(f.create) > 0 {
		steps = append(steps, Step{Kind: Create, Group: in.Group, Want: in.Want, Targets: f.create})
	}
	for _, t := range f.dead {
		steps = append(steps, Step{Kind: Stop, Group: in.Group, Targets: []Target{t}})
	}
	for _, c := range f.start {
		steps = append(steps, Step{Kind: Start, Group: in.Group, Want: in.Want, Targets: []Target{target(c)}})
	}
	return steps
}

func planDown(in Input) []Step {
	o := in.Observed
	if o.ContainersErr != nil {
		return nil
	}
	last := o.lastStage()
	var drop []host.ContainerState
	for _, s := range o.Containers {
		if s.Task != host.TaskUnknown && downStage(s.Role) <= last {
			drop = append(drop, s)
		}
	}
	steps := in.takeDown(drop)
	if o.unsure() {
		return steps
	}
	if o.VolumesErr == nil {
		for _, v := range o.Volumes {
			steps = append(steps, Step{Kind: Unmount, Group: in.Group, Volume: v})
		}
	}
	if o.Net.Any() {
		steps = append(steps, Step{Kind: Disconnect, Group: in.Group})
	}
	return steps
}

// takeDown stops what runs, stage by stage, and removes it all.
func (in Input) takeDown(drop []host.ContainerState) []Step {
	var steps []Step
	var all []Target
	for stage := range stages {
		var running []Target
		for _, s := range drop {
			if downStage(s.Role) != stage {
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

// lastStage is the last stage that may be stopped: what comes after a container of unknown state has to wait for it.
func (o Observed) lastStage() int {
	last := stages
	for _, s := range o.Containers {
		if s.Task == host.TaskUnknown {
			last = min(last, downStage(s.Role))
		}
	}
	return last
}

// downStage is when a role is stopped: apps first, the ambassador last. A container that has lost its labels goes with the apps.
func downStage(r spec.Role) int {
	switch r {
	case spec.Ambassador:
		return 2
	case spec.Sidecar, spec.Init:
		return 1
	default:
		return 0
	}
}

// defaultStop is for a container of which no definition is left.
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
