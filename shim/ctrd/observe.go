package ctrd

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/sallyport/sallyport/shim/host"
)

// Observe implements [runner.Runtime]. It doesn't list containers without our label, which others
// have put into the namespace.
func (c *Client) Observe(ctx context.Context, group string) (_ []host.ContainerState, err error) {
	defer c.explain(ctx, "", &err)
	whole := ctx
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	filter := "labels." + strconv.Quote(labelGroup)
	if group != "" {
		filter += "==" + strconv.Quote(group)
	}
	records, err := c.client.ContainerService().List(ctx, filter)
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list containers: %w", err))
	}
	processes := make(map[string]*task.Process)
	if group == "" {
		// One call is enough for all groups. The few containers of one group are asked for one by
		// one, because the list would ask every shim of the host.
		resp, err := c.client.TaskService().List(ctx, &tasks.ListTasksRequest{})
		if err != nil {
			return nil, c.unanswered(fmt.Errorf("list tasks: %w", errgrpc.ToNative(err)))
		}
		for _, p := range resp.Tasks {
			processes[p.ID] = p
		}
	}
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
	for _, r := range records {
		state := fromLabels(r.Labels)
		state.CreatedAt = r.CreatedAt
		p, listed := processes[r.ID]
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
