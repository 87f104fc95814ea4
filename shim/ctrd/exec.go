package ctrd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// drainTimeout is how long output may still come after the process has ended. A child of the
// process may hold the output open.
const drainTimeout = 2 * time.Second

const (
	// execStarts is how long a process may take to start, once it is its turn. Only a shim or a
	// runtime that hangs takes that long. Each Client has a value of its own, which tests shorten.
	execStarts = time.Minute
	// execStartsInStop is how long it may take while the group's shim is to stop a container. Older
	// shims do nothing else meanwhile.
	execStartsInStop = 2 * time.Second
	// preStopStarts is how long a pre_stop may take to start in that time. It is part of a stop
	// itself, and on a busy host a start takes seconds. A container that holds it up delays another
	// one's stop so long, which is less than a call of containerd may take.
	preStopStarts = 8 * time.Second
	// startEnds is how long a start that is ended may take to report it.
	startEnds = 8 * time.Second
)

var _ host.Execer = (*Client)(nil)

// Exec implements [host.Execer]. The process has the seccomp filter and the cgroup of the
// container's program, and its user and capabilities too, unless the request names a user. It waits
// for its turn to start. When ctx ends or the time is over, it is killed, with what it has started.
// Exec reads a blocking Stdin until its Read returns, so the caller closes it.
func (c *Client) Exec(ctx context.Context, req host.ExecRequest) (status uint32, err error) {
	if req.Timeout <= 0 {
		return c.exec(ctx, req)
	}
	bounded, cancel := context.WithTimeoutCause(ctx, req.Timeout, host.ErrTimedOut)
	defer cancel()
	status, err = c.exec(bounded, req)
	if err != nil && context.Cause(bounded) == host.ErrTimedOut {
		return 0, fmt.Errorf("%q in %s did not end within %s, and was ended: %w", req.Args[0], spec.ID(req.Group, req.Container), req.Timeout, host.ErrTimedOut)
	}
	return status, err
}

func (c *Client) exec(ctx context.Context, req host.ExecRequest) (status uint32, err error) {
	id := spec.ID(req.Group, req.Container)
	defer c.explain(ctx, req.Group, &err)
	ctx, cancel := c.ctx(ctx, 0) // as long as the process runs
	defer cancel()
	release, err := c.turns.take(ctx, c.shimGroup(req.Group))
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	defer release()
	phase := "while containerd was asked about the container"
	defer func() {
		switch {
		case err == nil:
		case ctx.Err() != nil: // containerd has several errors for it
			status, err = 0, fmt.Errorf("exec in %s: %s: %w", id, phase, ctx.Err())
		case errors.Is(err, context.DeadlineExceeded):
			err = fmt.Errorf("%w, %s", err, phase)
		}
	}()
	in, err := c.target(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	process, err := in.process(req)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	if process.ApparmorProfile != "" {
		c.profile(ctx) // a runtime starts nothing with a profile that is gone
	}
	stdin := newInput(req.Stdin)
	folder := c.newExecFolder(id)
	phase = "while containerd made the process"
	p, err := c.addExec(ctx, folder, in.task, process, stdin, req)
	if err != nil {
		return 0, runtimeProblem("exec in", id, err)
	}
	ended := false
	defer func() { c.removeExec(ctx, folder, p, ended) }()
	phase = "while containerd started the process"
	if err := c.startExec(ctx, c.shimGroup(req.Group), folder, startsInStop(req)); err != nil {
		p.IO().Cancel()
		return 0, runtimeProblem("exec in", id, err)
	}
	release()
	phase = "while it ran"
	exited, err := p.Wait(ctx)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	if req.Started != nil {
		req.Started()
	}
	for resize := req.Resize; ; {
		select {
		case size, open := <-resize:
			if !open {
				resize = nil
				continue
			}
			if err := p.Resize(ctx, uint32(size.Width), uint32(size.Height)); err != nil {
				c.log.Debug("terminal not resized", "container", id, "error", err)
			}
		case <-stdin.ended:
			stdin.ended = nil
			if err := p.CloseIO(ctx, containerd.WithStdinCloser); err != nil && !errdefs.IsNotFound(err) {
				c.log.Debug("input not closed", "container", id, "error", err)
			}
		case exit := <-exited:
			if err := exit.Error(); err != nil { // the shim has ended, or containerd has
				return 0, &hint.Error{
					Err:  fmt.Errorf("the command in %s is lost, as the shim or containerd has ended: %w", id, errgrpc.ToNative(err)),
					Hint: "run it again; \"sallyport events " + req.Group + "\" shows whether its containers were started again",
				}
			}
			ended = true
			return exit.ExitCode(), nil // also when ctx ended at the same moment
		}
	}
}

// A target is a container that runs.
type target struct {
	task containerd.Task
	pid  int         // of its program
	spec *specs.Spec // that it was created by
}

// process returns the process that a request asks for. It has the rights of the container's
// program, or fewer if it is another user's.
func (t target) process(req host.ExecRequest) (*specs.Process, error) {
	in := oci.ExecInput{Args: req.Args, TTY: req.TTY, Env: req.Env, WorkDir: req.WorkDir}
	root, err := inside.OpenRoot(t.pid, t.spec.Linux.CgroupsPath)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := checkUserFiles(root); err != nil {
		return nil, err
	}
	if req.User != "" {
		u, err := runningUser(root, req.User)
		if err != nil {
			return nil, err
		}
		in.User = &u
	}
	return oci.ExecProcess(t.spec.Process, in), nil
}

// target returns a container that runs, or why it can't be used.
func (c *Client) target(ctx context.Context, id string) (t target, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	container, err := c.client.LoadContainer(ctx, id)
	if errdefs.IsNotFound(err) {
		return t, &hint.Error{Err: fmt.Errorf("there is no container %s", id), Hint: "\"sallyport ps\" shows what runs"}
	}
	if err != nil {
		return t, err
	}
	t.task, err = container.Task(ctx, nil)
	if err != nil && !errdefs.IsNotFound(err) {
		return t, err
	}
	p, err := c.process(ctx, id)
	if err != nil {
		return t, err
	}
	if p != nil && taskState(p) == host.TaskUnknown {
		return t, fmt.Errorf("containerd doesn't know its state: %w", errdefs.ErrUnavailable)
	}
	if p == nil || taskState(p) != host.TaskRunning {
		return t, notRunning(id)
	}
	record, err := container.Info(ctx, containerd.WithoutRefreshedMetadata)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &t.spec); err != nil {
		return t, fmt.Errorf("its spec: %w", err)
	}
	t.pid = int(p.Pid)
	return t, nil
}

// notRunning returns the error for a container that is there and does not run.
func notRunning(id string) error {
	return &hint.Error{Err: fmt.Errorf("container %s %w", id, errNotRunning), Hint: "`sallyport ps` shows why"}
}

var errNotRunning = errors.New("doesn't run")

// addExec makes the process and its streams. It doesn't start it.
func (c *Client) addExec(ctx context.Context, folder execFolder, task containerd.Task, process *specs.Process, stdin *input, req host.ExecRequest) (containerd.Process, error) {
	ctx, cancel := c.ctx(ctx, startTimeout)
	defer cancel()
	var mu sync.Mutex
	stdout, stderr := output{&mu, req.Stdout}, output{&mu, req.Stderr}
	opts := []cio.Opt{cio.WithStreams(nil, stdout, stderr)}
	if req.Stdin != nil {
		opts = []cio.Opt{cio.WithStreams(stdin, stdout, stderr)}
	}
	p, err := task.Exec(ctx, folder.exec, process, func(string) (cio.IO, error) {
		fifos, err := folder.fifos(req.TTY)
		if err != nil {
			return nil, err
		}
		return cio.NewAttach(opts...)(fifos)
	})
	if err != nil { // containerd may have made it
		c.endExecLater(ctx, folder)
	}
	return p, err
}

// startExec starts a process. A start that takes too long is ended by its runtime's end, also when
// ctx ends. If the call were cut off, it would leave a process that neither containerd nor its shim
// knows of. If the answer is late or lost, the process may run all the same: then that is a
// success. It doesn't call [containerd.Process.Start], which closes the streams of such a process.
// inStop is from startsInStop.
func (c *Client) startExec(ctx context.Context, shimGroup string, f execFolder, inStop time.Duration) error {
	begin, done := c.limits.limit(ctx, shimGroup, c.execStarts, inStop)
	defer done()
	limited, cancel := c.ctx(context.WithoutCancel(ctx), c.execStarts+startEnds)
	defer cancel()
	ended := make(chan bool, 1)
	notNeeded := context.AfterFunc(begin, func() { ended <- c.endStarts(limited, f) })
	_, err := c.client.TaskService().Start(limited, &tasks.StartRequest{ContainerID: f.container, ExecID: f.exec})
	cancel() // with the answer there is nothing to end any more
	if !notNeeded() && <-ended {
		return context.Cause(begin) // to the shim this can look like a program that was killed
	}
	if err = errgrpc.ToNative(err); err == nil || !host.Passing(err) {
		return err
	}
	ctx, stop := c.cleanup(ctx)
	defer stop()
	for wait := lookAgain; ; wait = min(2*wait, time.Second) {
		started, lookErr := c.execStarted(ctx, f)
		switch {
		case started:
			return nil
		case lookErr == nil, errdefs.IsNotFound(lookErr), pause(ctx, wait) != nil:
			return err
		}
	}
}

// startsInStop returns how long a process may take to start while the shim is to stop a container.
func startsInStop(req host.ExecRequest) time.Duration {
	if req.Stopping {
		return preStopStarts
	}
	return execStartsInStop
}

// execStarted reports whether the program of a process has begun. It may have ended.
func (c *Client) execStarted(ctx context.Context, f execFolder) (bool, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	r, err := c.client.TaskService().Get(ctx, &tasks.GetRequest{ContainerID: f.container, ExecID: f.exec})
	if err != nil {
		return false, errgrpc.ToNative(err)
	}
	return r.Process.Pid != 0 && (r.Process.Status == task.Status_RUNNING || r.Process.Status == task.Status_STOPPED), nil
}

// removeExec kills the process, and what it has started, unless it has ended by itself. It returns
// when its output has been read.
func (c *Client) removeExec(ctx context.Context, folder execFolder, p containerd.Process, ended bool) {
	// The shim waits many seconds for a child that holds the output open. We don't.
	defer c.endExecLater(ctx, folder)
	ctx, cancel := c.cleanup(ctx)
	defer cancel()
	if !ended {
		c.killStarted(ctx, folder)
	}
	if gone, err := p.Wait(ctx); err == nil {
		if err := p.Kill(ctx, syscall.SIGKILL); err == nil {
			<-gone
		}
	}
	drain := time.AfterFunc(drainTimeout, p.IO().Cancel)
	p.IO().Wait() // deleting the process drops what has not been read
	drain.Stop()
	if err := p.IO().Close(); err != nil {
		c.log.Debug("streams not closed", "container", folder.container, "error", err)
	}
}

// An input signals that its reader has come to the end. containerd keeps a process's input open
// until it is asked to close it.
type input struct {
	io.Reader
	ended chan struct{}
	done  bool
}

func newInput(r io.Reader) *input {
	return &input{Reader: r, ended: make(chan struct{})}
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && !i.done {
		i.done = true
		close(i.ended)
	}
	return n, err
}

// An output passes on what is written to it, and drops it if the writer is nil. Outputs with the
// same mutex may share a writer.
type output struct {
	mu *sync.Mutex
	w  io.Writer
}

func (o output) Write(p []byte) (int, error) {
	if o.w == nil {
		return len(p), nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}
