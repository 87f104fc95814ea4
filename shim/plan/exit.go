package plan

import (
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// failed reports whether the container's end is a failure.
func (in Input) failed(s host.ContainerState) bool {
	return s.ExitStatus != 0 || in.Records[s.Name].ProbeFailure != ""
}

// restarts reports whether a container that has ended is to be started again. An init that has
// ended well is not, with any policy.
func (in Input) restarts(c *spec.Container, s host.ContainerState) bool {
	return in.mayRestart(c, s) && !c.Restart.Spent(in.Records[c.Name].EndsInARow)
}

// mayRestart is the function restarts, without a look at the number of attempts.
func (in Input) mayRestart(c *spec.Container, s host.ContainerState) bool {
	failed := in.failed(s)
	switch {
	case c.Restart.Policy == spec.RestartNever:
		return false
	case c.Restart.Policy == spec.RestartOnFailure, c.Role == spec.Init:
		return failed
	default:
		return true
	}
}

// givenUp reports whether the container has ended and would be started again, had it not been so
// often already.
func (in Input) givenUp(c *spec.Container, s host.ContainerState) bool {
	return s.Task == host.TaskStopped && !in.outdated(c, s) && in.mayRestart(c, s) && !in.restarts(c, s)
}

// givenUpText returns why a container that was given up is not started again.
func givenUpText(c *spec.Container) string {
	if c.Restart.Attempts == 1 {
		return "it was started again once in a row, which is all that its restart block allows"
	}
	return fmt.Sprintf("it was started again %d times in a row, which is all that its restart block allows", c.Restart.Attempts)
}

// GivenUp returns the last end of each container that has ended and is not started again because
// its attempts are spent.
func GivenUp(in Input) []End {
	var all []End
	if in.ToRun() == nil {
		return nil
	}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		if s, _ := in.Observed.Container(c.Name); in.givenUp(c, s) {
			all = append(all, End{c.Name, in.Records[c.Name].EndedAt, hint.Text(in.endError(c, s, in.Records[c.Name].EndsInARow))})
		}
	}
	return all
}

// SpentBy returns the containers whose attempts are spent, by the records.
func (in Input) SpentBy(records restart.Records) (names []string) {
	for _, c := range in.Want.Containers {
		if c.Restart.Spent(records[c.Name].EndsInARow) {
			names = append(names, c.Name)
		}
	}
	return names
}

// endedForGood reports whether the container has ended and is not to be started again. One that is
// always to run never ends for good.
func (in Input) endedForGood(c *spec.Container, s host.ContainerState) bool {
	always := c.Role != spec.Init && c.Restart.Policy == spec.RestartAlways
	return s.Task == host.TaskStopped && !in.outdated(c, s) && !in.restarts(c, s) && !always
}

// endedWell reports whether the container has ended for good, without a failure that counts.
func (in Input) endedWell(c *spec.Container, s host.ContainerState) bool {
	ignored := c.OnFailure == spec.FailureIgnored
	return in.endedForGood(c, s) && (!in.failed(s) || ignored) || in.givenUp(c, s) && ignored
}

func (in Input) exitOf(s host.ContainerState) group.Exit {
	return group.Exit{Status: s.ExitStatus, OOMKilled: s.OOMKilled, ProbeFailure: in.Records[s.Name].ProbeFailure}
}
