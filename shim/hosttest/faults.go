package hosttest

import (
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A fault is one failure that is still to come.
type fault struct {
	err   error
	after bool // the operation is done and fails all the same: its answer is lost
}

// FailNext makes the next operation of that name fail without doing anything. The names are:
//
//   - "seal", "admit", "connect", "disconnect", "limit";
//   - "mount logs", "unmount logs", "discard g", for a volume and a group;
//   - "image web:1", "retain web:1", for a reference, and "release";
//   - "create web", "start web", "reload web", "stop web", "remove web", for a container;
//   - "observe network", "observe limits", "observe volumes", "observe containers";
//   - "list networks", "list volumes", "list containers", "list retained images".
func (h *Host) FailNext(operation string, err error) { h.addFault(operation, fault{err: err}) }

// FailNextDone makes the next operation of that name fail although it is done: the answer is lost.
func (h *Host) FailNextDone(operation string, err error) {
	h.addFault(operation, fault{err: err, after: true})
}

func (h *Host) addFault(operation string, f fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[operation] = append(h.faults[operation], f)
}

// ForgetFaults drops the failures that are still to come.
func (h *Host) ForgetFaults() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = map[string][]fault{}
}

// LoseReload makes the next reload of a container fail after its files were changed and before it
// was sent the signal.
func (h *Host) LoseReload(group, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lostReloads[spec.ID(group, name)] = true
}

// Operations returns the names of all operations that a host does for a group of Containers, for
// tests that let each of them fail.
func Operations() []string {
	names := []string{
		"seal", "admit", "connect", "disconnect", "limit", "mount logs", "unmount logs", "image a:1", "image b:1",
		"observe network", "observe limits", "observe volumes", "observe containers", "list networks",
	}
	for _, verb := range []string{"create", "start", "stop", "remove"} {
		for _, name := range Containers {
			names = append(names, verb+" "+name)
		}
	}
	return names
}

// Containers has the names of the containers of groups in random walks.
var Containers = []string{"proxy", "fetch", "migrate", "shipper", "store", "api", "web"}

// Hide makes the state of a container's task unknown. show ends that. After a boot it does nothing,
// because the task is gone.
func (h *Host) Hide(group, name string) (show func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.containers[spec.ID(group, name)]
	if c == nil {
		return func() {}
	}
	task, boots := c.state.Task, h.boots
	c.state.Task = host.TaskUnknown
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.state.Task != host.TaskUnknown {
			return
		}
		if c.state.Task = task; h.boots != boots {
			c.state.Task = host.TaskNone
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

// Unpin removes the pin of a group's namespace, and with it the link's end on the host.
func (h *Host) Unpin(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.nets, group)
}

// Reboot ends every program and removes everything that does not outlive a boot. Containers stay,
// without tasks.
func (h *Host) Reboot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.boots++
	h.nets, h.volumes = map[string]*network{}, map[string]map[string]volume{}
	h.limits = map[string]spec.Resources{}
	for _, c := range h.containers {
		c.state.Task, c.state.PID, c.started, c.taskLost = host.TaskNone, 0, false, false
	}
}

// LoseTask makes the task of a container go away, as when its shim is killed. Nothing has seen how
// it ended.
func (h *Host) LoseTask(group, name string) {
	h.mu.Lock()
	if c := h.containers[spec.ID(group, name)]; c != nil {
		c.state.Task, c.state.PID, c.started = host.TaskNone, 0, false
	}
	h.mu.Unlock()
	h.notify(group)
}

// LoseEnded makes containerd forget every task that has ended, as a restart of containerd 2 does.
// Their containers stay.
func (h *Host) LoseEnded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.containers {
		if c.state.Task == host.TaskStopped {
			c.state.Task, c.taskLost = host.TaskNone, true
		}
	}
}
