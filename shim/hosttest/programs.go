package hosttest

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Exit ends a running program.
func (h *Host) Exit(group, name string, status uint32) {
	h.mu.Lock()
	if c := h.containers[spec.ID(group, name)]; c != nil && c.state.Task == host.TaskRunning {
		c.end(status, h.now())
	}
	h.mu.Unlock()
	h.notify(group)
}

// ExitAtOnce makes a container's program end as soon as it starts, from now on.
func (h *Host) ExitAtOnce(group, name string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exitAtOnce[spec.ID(group, name)] = status
}

// ExitOnReload makes a container's program end when it is sent the signal of a reload, from now on.
func (h *Host) ExitOnReload(group, name string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exitOnReload[spec.ID(group, name)] = status
}

// Signals returns the signals of the reloads of a container, in order, since it was created.
func (h *Host) Signals(group, name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.containers[spec.ID(group, name)]; c != nil {
		return slices.Clone(c.signals)
	}
	return nil
}

// Stay undoes ExitAtOnce.
func (h *Host) Stay(group, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.exitAtOnce, spec.ID(group, name))
}

// StopWith sets the status with which a container ends when it is stopped, from now on. Without a
// call it is 143 (SIGTERM).
func (h *Host) StopWith(group, name string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopStatus[spec.ID(group, name)] = status
}

// BreakImage makes every program of an image end as soon as it starts, from now on. ref may be a
// digest.
func (h *Host) BreakImage(ref string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exitAtOnce["image "+ref] = status
}

// MendImage undoes BreakImage.
func (h *Host) MendImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.exitAtOnce, "image "+ref)
}

// Running returns how many programs of a group run.
func (h *Host) Running(group string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.containers {
		if c.state.Group == group && c.state.Task == host.TaskRunning {
			n++
		}
	}
	return n
}

// PID returns the process of a container. It is 0 if the container does not run.
func (h *Host) PID(group, name string) uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.containers[spec.ID(group, name)]; c != nil && c.state.Task == host.TaskRunning {
		return c.state.PID
	}
	return 0
}

// end ends the program by itself. The caller holds the host's mu.
func (c *container) end(status uint32, at time.Time) {
	c.state.Task, c.state.PID, c.state.ExitStatus, c.state.ExitedAt = host.TaskStopped, 0, status, at
	c.endedItself = true
}
