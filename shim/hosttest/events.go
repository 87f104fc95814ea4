package hosttest

import (
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// SetImage makes a reference resolve to another digest.
func (h *Host) SetImage(ref, digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.images[ref] = digest
}

// LoseImage makes a reference resolve to nothing, and takes away what is held of it.
func (h *Host) LoseImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing[ref] = true
}

// FindImage ends what LoseImage began.
func (h *Host) FindImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.missing, ref)
}

// Exit ends a running program.
func (h *Host) Exit(group, name string, status uint32) {
	h.mu.Lock()
	if c := h.containers[spec.ID(group, name)]; c != nil && c.state.Task == host.TaskRunning {
		c.end(status, h.now())
	}
	h.mu.Unlock()
	h.tell(group)
}

// ExitAtOnce makes a container's program end as soon as it is started, from now on.
func (h *Host) ExitAtOnce(group, name string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quitters[spec.ID(group, name)] = status
}

// StopWith is the status with which a container ends when it is stopped, from now on; 143 where it was not told.
func (h *Host) StopWith(group, name string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leavers[spec.ID(group, name)] = status
}

// Stay ends what ExitAtOnce began.
func (h *Host) Stay(group, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.quitters, spec.ID(group, name))
}

// BreakImage makes every program of an image end as soon as it is started, from now on.
func (h *Host) BreakImage(ref string, status uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quitters["image "+ref] = status
}

// MendImage ends what BreakImage began.
func (h *Host) MendImage(ref string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.quitters, "image "+ref)
}

// Hide makes containerd not say what a container is doing. show ends it.
func (h *Host) Hide(group, name string) (show func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.containers[spec.ID(group, name)]
	if c == nil {
		return func() {}
	}
	task := c.state.Task
	c.state.Task = host.TaskUnknown
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.state.Task == host.TaskUnknown {
			c.state.Task = task
		}
	}
}

// Flush empties the rules of a group's namespace, as `nft flush ruleset` in it does.
func (h *Host) Flush(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nets[group]; n != nil {
		n.sealed, n.policy = false, ""
	}
}

// Unlink deletes a group's link, as `ip link del` does.
func (h *Host) Unlink(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nets[group]; n != nil {
		n.link = ""
	}
}

// Unpin takes away the pin of a group's namespace, and with it the link's end on the host.
func (h *Host) Unpin(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nets, group)
}

// Reboot ends every program and takes away what does not outlive a boot; containers without tasks stay.
func (h *Host) Reboot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nets, h.volumes = map[string]*network{}, map[string]map[string]volume{}
	h.bounds = map[string]spec.Resources{}
	for _, c := range h.containers {
		c.state.Task, c.state.PID, c.begun, c.lost = host.TaskNone, 0, false, false
	}
}

// LoseEnded makes containerd forget every task that has ended, as a restart of containerd 2 does: their containers stay.
func (h *Host) LoseEnded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.containers {
		if c.state.Task == host.TaskStopped {
			c.state.Task, c.lost = host.TaskNone, true
		}
	}
}

// Running counts the programs of a group that run.
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

// PID is the process of a container; 0 when it does not run.
func (h *Host) PID(group, name string) uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.containers[spec.ID(group, name)]; c != nil && c.state.Task == host.TaskRunning {
		return c.state.PID
	}
	return 0
}

func (c *container) end(status uint32, at time.Time) {
	c.state.Task, c.state.PID, c.state.ExitStatus, c.state.ExitedAt = host.TaskStopped, 0, status, at
	c.own = true
}
