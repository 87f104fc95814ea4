package spec

import "time"

// Limits on the time that a job's run may take.
const (
	minTimeout = time.Second
	maxTimeout = 365 * 24 * time.Hour
)

// Unending returns the first app that is started again whenever it ends. It is nil for a job: a
// group whose apps all end.
func (g *Group) Unending() *Container {
	for i := range g.Containers {
		c := &g.Containers[i]
		if c.Role == App && c.Restart.Policy != RestartNever && c.Restart.Policy != RestartOnFailure {
			return c
		}
	}
	return nil
}

// timeout reads how long a run of the job may take. Zero means as long as it likes.
func (d *groupDecoder) timeout(r reader, g *Group) time.Duration {
	timeout, ok := r.duration("timeout", minTimeout, maxTimeout)
	if c := g.Unending(); ok && c != nil && g.Schedule == nil {
		d.errorf(r.nameOf("timeout"), "A timeout for a service", "Only a job has a timeout: a group whose apps all end. Here %s is started again whenever it ends. Write in its block: restart { policy = \"never\" }, or \"on-failure\". Or remove the timeout.", c.Title())
	}
	return timeout
}
