package plan

import (
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// failed says that the container's end is a failure.
func (in Input) failed(s host.ContainerState) bool {
	return s.ExitStatus != 0 || in.Records[s.Name].ProbeFailure != ""
}

// again says whether a container that has ended is to be started again. An init that has ended well is not, whatever its policy.
func (in Input) again(c *spec.Container, s host.ContainerState) bool {
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

// finished says that the container has ended for good.
func (in Input) finished(c *spec.Container, s host.ContainerState) bool {
	return s.Task == host.TaskStopped && !in.outdated(c, s) && !in.again(c, s)
}

// endedWell says that the container has ended for good, and that nobody minds.
func (in Input) endedWell(c *spec.Container, s host.ContainerState) bool {
	return in.finished(c, s) && (!in.failed(s) || c.OnFailure == spec.FailureIgnored)
}

// endText is how a container ended, in an operator's words.
func (in Input) endText(s host.ContainerState) string { return in.exitOf(s).String() }

func (in Input) exitOf(s host.ContainerState) group.Exit {
	return group.Exit{Status: s.ExitStatus, OOMKilled: s.OOMKilled, ProbeFailure: in.Records[s.Name].ProbeFailure}
}
