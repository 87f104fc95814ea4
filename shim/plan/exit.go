package plan

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// failed reports whether the container's end is a failure.
func (in Input) failed(s host.ContainerState) bool {
	return s.ExitStatus != 0 || in.Records[s.Name].ProbeFailure != ""
}

// restarts reports whether a container that has ended is to be started again. An init that has
// ended well is not, with any policy.
func (in Input) restarts(c *spec.Container, s host.ContainerState) bool {
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

// endedForGood reports whether the container has ended and is not to be started again.
func (in Input) endedForGood(c *spec.Container, s host.ContainerState) bool {
	return s.Task == host.TaskStopped && !in.outdated(c, s) && !in.restarts(c, s)
}

// endedWell reports whether the container has ended for good, without a failure that counts.
func (in Input) endedWell(c *spec.Container, s host.ContainerState) bool {
	return in.endedForGood(c, s) && (!in.failed(s) || c.OnFailure == spec.FailureIgnored)
}

func (in Input) exitOf(s host.ContainerState) group.Exit {
	return group.Exit{Status: s.ExitStatus, OOMKilled: s.OOMKilled, ProbeFailure: in.Records[s.Name].ProbeFailure}
}
