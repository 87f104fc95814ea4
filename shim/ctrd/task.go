package ctrd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/moby/sys/signal"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	startTimeout = 30 * time.Second
	// killTimeout is how long a killed program may take to end. The kernel may have to write its
	// memory out.
	killTimeout = 30 * time.Second
	// cleanupTimeout bounds the clean-up after a call's own context has ended.
	cleanupTimeout = time.Minute
	// lookAgain is the pause before a second look at a task whose shim ended the call.
	lookAgain = 20 * time.Millisecond
)

// cleanup returns a context for undoing. It outlives ctx, and has a deadline.
func (c *Client) cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return c.ctx(context.WithoutCancel(ctx), cleanupTimeout)
}

// Start implements [runner.Runtime].
func (c *Client) Start(ctx context.Context, group, container string) (err error) {
	defer c.explain(ctx, group, &err)
	id := spec.ID(group, container)
	release, err := c.makeTurn(ctx, group)
	if err != nil {
		return fmt.Errorf("start %s: %w", id, err)
	}
	defer release()
	ctx, cancel := c.ctx(ctx, startTimeout)
	defer cancel()
	if _, err := c.client.TaskService().Start(ctx, &tasks.StartRequest{ContainerID: id}); err != nil {
		return runtimeProblem("start", id, errgrpc.ToNative(err))
	}
	if err := markStarted(c.cfg.Layout, group, container); err != nil {
		c.log.Warn("start time not noted", "container", id, "error", err)
	}
	return nil
}

// Stop implements [runner.Runtime].
func (c *Client) Stop(ctx context.Context, group, container string, stop spec.Stop) (err error) {
	defer c.explain(ctx, group, &err)
	ctx, cancel := c.ctx(ctx, stop.Timeout+killTimeout+callTimeout)
	defer cancel()
	defer c.limits.lower(c.shimGroup(group))()
	id := spec.ID(group, container)
	p, err := c.process(ctx, id)
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	if p == nil || taskState(p) == host.TaskStopped {
		return nil
	}
	if taskState(p) == host.TaskRunning && stop.Timeout > 0 { // a program that hasn't begun has nothing to finish
		sig, err := c.stopSignal(ctx, id, stop)
		if err != nil {
			return fmt.Errorf("stop %s: %w", id, err)
		}
		if err := c.signal(ctx, id, sig); err != nil {
			return fmt.Errorf("stop %s: %w", id, err)
		}
		err = c.await(ctx, id, stop.Timeout)
		if !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if err := c.kill(ctx, id); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// stopSignal returns the file's signal, or else the image's, or else SIGTERM.
func (c *Client) stopSignal(ctx context.Context, id string, stop spec.Stop) (syscall.Signal, error) {
	if stop.Signal != "" {
		return signal.ParseSignal(stop.Signal)
	}
	record, err := c.client.ContainerService().Get(ctx, id)
	if err != nil && !errdefs.IsNotFound(err) {
		return 0, err
	}
	if sig, err := signal.ParseSignal(record.Labels[labelStopSignal]); err == nil {
		return sig, nil
	}
	return syscall.SIGTERM, nil
}

// kill kills the processes of a task, and waits until they have ended. One signal reaches all of
// them, because they are in a PID namespace.
func (c *Client) kill(ctx context.Context, id string) error {
	if err := c.signal(ctx, id, syscall.SIGKILL); err != nil {
		return err
	}
	return c.await(ctx, id, killTimeout)
}

// signal sends sig to a task. A task that has ended is no error.
func (c *Client) signal(ctx context.Context, id string, sig syscall.Signal) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	_, err := c.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(sig)})
	if err == nil {
		return nil
	}
	if p, look := c.process(ctx, id); look == nil && (p == nil || taskState(p) == host.TaskStopped) {
		return nil
	}
	return fmt.Errorf("signal %s with %v: %w", id, sig, errgrpc.ToNative(err))
}

// await waits until a task has ended or is gone. After d the error is context.DeadlineExceeded.
func (c *Client) await(ctx context.Context, id string, d time.Duration) error {
	ctx, cancel := c.ctx(ctx, d)
	defer cancel()
	for {
		_, err := c.client.TaskService().Wait(ctx, &tasks.WaitRequest{ContainerID: id})
		if err == nil || errdefs.IsNotFound(errgrpc.ToNative(err)) {
			return nil
		}
		// The shim ended the call: it has ended, or containerd restarts.
		if err := pause(ctx, lookAgain); err != nil {
			return fmt.Errorf("wait for the end of %s: %w", id, err)
		}
		if p, err := c.process(ctx, id); err == nil && (p == nil || taskState(p) == host.TaskStopped) {
			return nil
		}
	}
}

// process returns a container's task as containerd has it. It returns nil if there is none.
func (c *Client) process(ctx context.Context, id string) (*task.Process, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	resp, err := c.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return resp.Process, nil
}

func taskState(p *task.Process) host.TaskState {
	switch p.Status {
	case task.Status_CREATED:
		return host.TaskCreated
	case task.Status_RUNNING, task.Status_PAUSED, task.Status_PAUSING:
		return host.TaskRunning
	case task.Status_STOPPED:
		return host.TaskStopped
	}
	return host.TaskUnknown
}

// pause waits for d. If ctx ends before, it returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
