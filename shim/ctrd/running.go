package ctrd

import (
	"sync"
	"time"

	"github.com/containerd/containerd/api/types/task"
)

// runningAsk is the longest time for which a task is known to run by its process alone. Then its
// shim is asked again. So a shim that gives no answers is found after this time, or earlier if one
// of its processes ends.
const runningAsk = 5 * time.Minute

// A runningTasks has the tasks that were found to run. Such a task runs on as long as its first
// process does. Its shim would be woken to answer that, and /proc answers it too.
//
//	not known --asked: it runs, and its process is a shim's--> known
//	    ^                                                        |
//	    '--the process ended, 5 minutes, an event, a silent shim-'
type runningTasks struct {
	mu      sync.Mutex
	byGroup map[string]map[string]runningTask // and by container's id
	// forgotten grows when something was forgotten. What was asked for before may be outdated.
	forgotten int
}

// A runningTask is one whose process had these values when its shim was last asked. All of them
// stay the same while the process and its shim live: a process gets another parent when its own
// ends.
type runningTask struct {
	pid, shim int
	began     string    // in ticks since boot
	startedAt time.Time // by its mark, see [startedAt]
	asked     time.Time
}

// find returns the task of a container as it is now. ok is false if it isn't known, or may have
// ended.
func (r *runningTasks) find(group, id string, now time.Time) (t runningTask, ok bool) {
	r.mu.Lock()
	t, ok = r.byGroup[group][id]
	r.mu.Unlock()
	if !ok || now.Sub(t.asked) >= runningAsk {
		return t, false
	}
	s := readStat(t.pid)
	return t, !s.ended() && s.started == t.began && s.parent == t.shim
}

// begin returns what keep needs. Call it before anything is asked.
func (r *runningTasks) begin() (forgotten int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgotten
}

// keep replaces what is known of a group, unless something was forgotten since begin.
func (r *runningTasks) keep(group string, tasks map[string]runningTask, begun int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forgotten != begun {
		return
	}
	if len(tasks) == 0 {
		delete(r.byGroup, group)
		return
	}
	if r.byGroup == nil {
		r.byGroup = map[string]map[string]runningTask{}
	}
	r.byGroup[group] = tasks
}

// forget makes the tasks of a group unknown, or those of all groups if group is "".
func (r *runningTasks) forget(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgotten++
	if group == "" {
		r.byGroup = nil
		return
	}
	delete(r.byGroup, group)
}

// runningNow returns what is to be known of a task that its shim has just reported as running. ok
// is false if its process is no child of a shim of ours, or has ended meanwhile.
func (c *Client) runningNow(p *task.Process, startedAt, asked time.Time) (t runningTask, ok bool) {
	if p == nil || p.Status != task.Status_RUNNING || startedAt.IsZero() {
		return t, false
	}
	s := readStat(int(p.Pid))
	if s.ended() || c.servedBy(s.parent) == "" {
		return t, false
	}
	return runningTask{pid: int(p.Pid), shim: s.parent, began: s.started, startedAt: startedAt, asked: asked}, true
}
