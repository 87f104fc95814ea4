package ctrd

import (
	"context"
	"net"
	"time"

	shimtask "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// dialTimeout bounds a connect to a local socket. A listener with a free backlog takes it at once.
const dialTimeout = time.Second

// shimServices are the names of a shim's one service, the newest first. The requests used here are
// the same in each version.
var shimServices = []string{"containerd.task.v3.Task", "containerd.task.v2.Task"}

// callShim calls a shim directly. That is of use only for what containerd doesn't know. Without a
// shim the error is errdefs.ErrUnavailable.
func (c *Client) callShim(ctx context.Context, shimGroup, method string, req, resp proto.Message) error {
	return callShimAt(ctx, c.shimSocket(shimGroup), method, req, resp)
}

func callShimAt(ctx context.Context, socket, method string, req, resp proto.Message) error {
	conn, err := net.DialTimeout("unix", socket, dialTimeout)
	if err != nil {
		return errdefs.ErrUnavailable.WithMessage(err.Error())
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	for _, service := range shimServices {
		if err = errgrpc.ToNative(client.Call(ctx, service, method, req, resp)); !errdefs.IsNotImplemented(err) {
			return err
		}
	}
	return err
}

// removeInShim ends and deletes a task that its shim knows. If the shim doesn't know it, or there
// is no shim, that is no error.
func (c *Client) removeInShim(ctx context.Context, shimGroup, id string) error {
	ctx, cancel := c.ctx(ctx, leftoverTimeout)
	defer cancel()
	// A task that has ended can't be killed.
	if c.callShim(ctx, shimGroup, "Kill", &shimtask.KillRequest{ID: id, Signal: uint32(unix.SIGKILL)}, &emptypb.Empty{}) == nil {
		_ = c.callShim(ctx, shimGroup, "Wait", &shimtask.WaitRequest{ID: id}, &shimtask.WaitResponse{})
	}
	err := c.callShim(ctx, shimGroup, "Delete", &shimtask.DeleteRequest{ID: id}, &shimtask.DeleteResponse{})
	if errdefs.IsNotFound(err) || errdefs.IsUnavailable(err) {
		return nil
	}
	return err
}

// dismissShim asks a shim to end if it has no task. Nothing asked it to if its last task was
// deleted by a call that was cut off, or if the call that started it was.
func (c *Client) dismissShim(ctx context.Context, shimGroup, id string) {
	if err := c.endHungShim(ctx, shimGroup, 1); err != nil {
		c.log.Warn("the shim of what was removed may stay", "container", id, "error", err)
		return
	}
	ctx, cancel := c.ctx(ctx, leftoverTimeout)
	defer cancel()
	// A shim that ends may not answer any more.
	_ = c.callShim(ctx, shimGroup, "Shutdown", &shimtask.ShutdownRequest{ID: id}, &emptypb.Empty{})
}
