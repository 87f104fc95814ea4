package shim

import "github.com/sallyport/sallyport/spec"

// failed says that the container's end is a failure.
func (in PlanInput) failed(s ContainerState) bool {
	return s.ExitStatus != 0 || in.History[s.Name].Condemned != ""
}

// again says whether a container that has ended is to be started again. An init that has ended well is not, whatever its policy.
func (in PlanInput) again(c *spec.Container, s ContainerState) bool {
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
func (in PlanInput) finished(c *spec.Container, s ContainerState) bool {
	return s.Task == TaskStopped && !in.outdated(c, s) && !in.again(c, s)
}

// endedWell says that the container has ended for good, and that nobody minds.
func (in PlanInput) endedWell(c *spec.Container, s ContainerState) bool {
	return in.finished(c, s) && (!in.failed(s) || c.OnFailure == spec.FailureIgnored)
}

// endText is how a container ended, in an operator's words.
func (in PlanInput) endText(s ContainerState) string { return in.exitOf(s).String() }

func (in PlanInput) exitOf(s ContainerState) Exit {
	return Exit{Status: s.ExitStatus, OOMKilled: s.OOMKilled, Condemned: in.History[s.Name].Condemned}
}
