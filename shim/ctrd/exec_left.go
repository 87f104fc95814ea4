package ctrd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
)

// EndLeftExecs ends the processes that daemons before this one were in the middle of when they were killed, and returns when they
// have ended or ctx does. This one's own are let be.
//
// It is for the start of a daemon: a shim that starts a process waits half a minute for a reader of its output, and makes the next
// start wait. Older ones, containerd 1.6's among them, say nothing of any container of the group meanwhile. So somebody reads
// before containerd is asked for anything.
func (c *Client) EndLeftExecs(ctx context.Context) {
	left, err := os.ReadDir(c.execsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.log.Warn("what was exec'd before is not looked for", "error", err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, dir := range left {
		exec, container, named := strings.Cut(dir.Name(), inContainer)
		if c.execs.has(exec) {
			continue
		}
		folder := c.execFolder(container, exec)
		if !named { // by a daemon that didn't note whose it is
			folder = execFolder{path: filepath.Join(c.execsDir(), dir.Name())}
		}
		streams := folder.drain(&all)
		all.Go(func() {
			defer func() {
				for _, s := range streams {
					_ = s.Close()
				}
			}()
			ctx, cancel := c.ctx(ctx, cleanupTimeout)
			defer cancel()
			if err := c.endExec(ctx, folder); err != nil && !errdefs.IsCanceled(err) {
				c.log.Warn("a process of the daemon before may live", "container", folder.container, "exec", folder.exec, "error", err)
			}
		})
	}
}

// drain reads everything until what it returns is closed. Being open to both sides it waits for none, and none waits any more.
func (f execFolder) drain(reading *sync.WaitGroup) (streams []*os.File) {
	paths, _ := filepath.Glob(filepath.Join(f.path, "*"))
	for _, path := range paths {
		s, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // closed meanwhile, or no stream
		}
		streams = append(streams, s)
		reading.Go(func() { _, _ = io.Copy(io.Discard, s) })
	}
	return streams
}

// endExecLater is [Client.endExec] for when its caller has no more use for the process.
func (c *Client) endExecLater(ctx context.Context, f execFolder) {
	ctx, cancel := c.cleanup(ctx)
	c.leaving.Go(func() {
		defer cancel()
		if err := c.endExec(ctx, f); err != nil {
			c.log.Debug("exec'd process not deleted", "container", f.container, "error", err)
		}
	})
}

// endExec kills and deletes a process whatever has become of it, and then its folder. What containerd can't do now, as while it
// restarts, it is asked for again until ctx ends.
func (c *Client) endExec(ctx context.Context, f execFolder) error {
	for wait := lookAgain; f.exec != ""; wait = min(2*wait, time.Second) {
		err := c.deleteExec(ctx, f)
		if err == nil {
			break
		}
		if errdefs.IsCanceled(err) || pause(ctx, wait) != nil {
			return err
		}
	}
	return os.RemoveAll(f.path)
}

// deleteExec kills a process that lives, which is then still to be deleted. That there is none is no error.
func (c *Client) deleteExec(ctx context.Context, f execFolder) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	_, err := c.client.TaskService().DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: f.container, ExecID: f.exec})
	if err = errgrpc.ToNative(err); err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	_, _ = c.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: f.container, ExecID: f.exec, Signal: uint32(unix.SIGKILL)})
	return err
}
