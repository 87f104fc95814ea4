package ctrd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	shimtask "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// explainTime is how long containerd, or a shim, may take to show that it is not what a call waited
// for.
const explainTime = 2 * time.Second

// explain makes a [hint.Error] of an error that means that there was no answer, or none in time: it
// finds out whether containerd or the group's shim is at fault. ctx is the caller's. An empty group
// stands for no shim.
func (c *Client) explain(ctx context.Context, group string, err *error) {
	if *err == nil || ctx.Err() != nil || hint.Of(*err) != "" || !unansweredCall(*err) {
		return
	}
	ask, cancel := c.ctx(ctx, explainTime)
	defer cancel()
	if _, failed := c.client.Version(ask); failed != nil {
		if ctx.Err() == nil {
			*err = c.silentContainerd(*err)
		}
		return
	}
	if group != "" {
		if why := c.shimProblem(ctx, group); why != nil {
			*err = &hint.Error{Err: fmt.Errorf("%w (%w)", why, *err), Hint: hint.Of(why)}
			return
		}
	}
	if errors.Is(*err, context.DeadlineExceeded) {
		*err = &hint.Error{Err: *err, Hint: "the host is busy: see what uses its processors, memory and disks, and try again"}
	}
}

// unansweredCall reports whether the error of a call has no answer in it.
func unansweredCall(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errdefs.IsUnavailable(err) ||
		strings.Contains(err.Error(), "ttrpc: closed") // what containerd makes of a shim that ends
}

// silentContainerd returns the error for a containerd that doesn't answer.
func (c *Client) silentContainerd(err error) error {
	pid := listenerOf(c.cfg.Address)
	if pid == 0 { // it has ended meanwhile
		return c.unanswered(fmt.Errorf("%w: %w", errdefs.ErrUnavailable, err))
	}
	advice := "restart it, which lets the containers run on: systemctl restart containerd"
	if c.private() {
		advice = fmt.Sprintf("end it, and the daemon starts another; the containers run on: kill -9 %d", pid)
	}
	return &hint.Error{Err: fmt.Errorf("containerd, process %d at %s, doesn't answer (%w)", pid, c.cfg.Address, err), Hint: advice}
}

// private reports whether the daemon has started containerd, and starts another when it ends.
func (c *Client) private() bool {
	return strings.HasPrefix(c.cfg.Address, c.cfg.Layout.RunDir+"/")
}

// listenerOf returns the process that listens at a socket, 0 if there is none.
func listenerOf(path string) int {
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

// shimProblem returns why the group's shim gives no answers. It is nil if the shim answers. With a
// problem, the next observation asks the shim, so the group's status has the problem too.
func (c *Client) shimProblem(ctx context.Context, group string) (why error) {
	defer func() {
		if why != nil {
			if c.cfg.HostShim { // it has the tasks of all groups
				group = ""
			}
			c.running.forget(group)
		}
	}()
	shimGroup := c.shimGroup(group)
	if !c.shimListens(shimGroup) {
		return &hint.Error{
			Err:  fmt.Errorf("the shim of %s has ended, and its processes with it", group),
			Hint: "its containers are started again; \"sallyport events " + group + "\" has how often they end",
		}
	}
	ask, cancel := c.ctx(ctx, explainTime)
	defer cancel()
	_ = c.callShim(ask, shimGroup, "Connect", &shimtask.ConnectRequest{ID: shimGroup}, &shimtask.ConnectResponse{})
	if ask.Err() == nil || ctx.Err() != nil {
		return nil
	}
	pid, _ := c.shimProcess(shimGroup)
	if pid == 0 {
		return fmt.Errorf("the shim of %s doesn't answer, and its process isn't found", group)
	}
	return &hint.Error{
		Err:  fmt.Errorf("the shim of %s, process %d, doesn't answer", group, pid),
		Hint: fmt.Sprintf("end it, which ends its containers too, and they are started again: kill -9 %d", pid),
	}
}
