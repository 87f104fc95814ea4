package ctrd

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"

	"github.com/sallyport/sallyport/shim/host"
)

// Observe implements [runner.Runtime]. Groups that are observed at the same time share a list. It
// doesn't list containers without our label, which others have put into the namespace. A shim is
// asked about a task at most once in a while, as long as the task's process lives: see
// [runningTasks].
func (c *Client) Observe(ctx context.Context, group string) (_ []host.ContainerState, err error) {
	defer c.explain(ctx, "", &err)
	whole, now, begun := ctx, time.Now(), c.running.begin()
	l, err := c.listFor(whole, group) // its time does not run while others are answered
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list containers: %w", err))
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	whys := map[string]error{} // by group
	unknown := func(state host.ContainerState, err error) host.ContainerState {
		why, asked := whys[state.Group]
		if !asked {
			why = c.shimProblem(whole, state.Group)
			whys[state.Group] = why
		}
		state.Task, state.Why = host.TaskUnknown, cmp.Or(why, err)
		return state
	}
	var states []host.ContainerState
	known := map[string]runningTask{}
	defer func() {
		if group != "" && err == nil {
			c.running.keep(group, known, begun)
		}
	}()
	for _, r := range l.of(group) {
		state := fromLabels(r.Labels)
		state.CreatedAt = r.CreatedAt
		c.devicesNow(&state, r)
		p, listed := l.tasks[r.ID]
		if l.tasks == nil && group != "" {
			if t, runs := c.running.find(group, r.ID, now); runs {
				state.Task, state.PID, state.StartedAt = host.TaskRunning, uint32(t.pid), t.startedAt
				states, known[r.ID] = append(states, state), t
				continue
			}
		}
		if !listed { // the list omits a shim that doesn't answer
			if p, err = c.process(ctx, r.ID); err != nil {
				c.log.Warn("task not seen", "container", r.ID, "error", err)
				states = append(states, unknown(state, err))
				continue
			}
		}
		if state = c.withProcess(state, r, p); state.Task == host.TaskUnknown {
			state = unknown(state, nil)
		}
		if t, runs := c.runningNow(p, state.StartedAt, now); runs {
			known[r.ID] = t
		}
		states = append(states, state)
	}
	return states, nil
}

// withProcess adds the state of a container's task. A nil process means that there is no task.
func (c *Client) withProcess(s host.ContainerState, record containers.Container, p *task.Process) host.ContainerState {
	if p == nil {
		s.Task = host.TaskNone
		return s
	}
	s.Task = taskState(p)
	switch s.Task {
	case host.TaskCreated:
		s.PID = p.Pid
	case host.TaskRunning:
		s.PID = p.Pid
		s.StartedAt = startedAt(c.cfg.Layout, s.Group, s.Name)
	case host.TaskStopped:
		s.ExitStatus = p.ExitStatus
		if p.ExitedAt != nil {
			s.ExitedAt = p.ExitedAt.AsTime()
		}
		s.OOMKilled = oomKilled(record)
	}
	return s
}
