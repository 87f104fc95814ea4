package ctrd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// Signal sends a signal to the program of a running container. dropped reports whether the program
// has no handler for it, so that the kernel drops it.
func (c *Client) Signal(ctx context.Context, group, container string, sig syscall.Signal) (dropped bool, err error) {
	id := spec.ID(group, container)
	defer c.explain(ctx, group, &err)
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	target, err := c.target(ctx, id)
	if err != nil {
		return false, fmt.Errorf("signal %s: %w", id, err)
	}
	dropped = !acts(target.pid, sig)
	_, err = c.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(sig)})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) { // it has ended since
		return false, notRunning(id)
	}
	if err != nil {
		return false, fmt.Errorf("signal %s: %w", id, err)
	}
	return dropped, nil
}

// acts reports whether a signal does anything to the first process of a PID namespace. Without a
// handler only three do, if they come from outside (pid_namespaces(7); SIGCONT continues it). One
// that is blocked is kept for a program that waits for it, as sigwait(3) and signalfd(2) do. If the
// process is not to be seen, it does.
func acts(pid int, sig syscall.Signal) bool {
	if sig == unix.SIGKILL || sig == unix.SIGSTOP || sig == unix.SIGCONT {
		return true
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return true
	}
	for _, set := range []string{"\nSigCgt:", "\nSigBlk:"} {
		_, rest, found := bytes.Cut(b, []byte(set))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		signals, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
		if !found || err != nil || signals>>(sig-1)&1 == 1 {
			return true
		}
	}
	return false
}
