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

// EndLeftExecs ends the exec'd processes that earlier daemons left when they were killed. It
// returns when they have ended or ctx does. It leaves this daemon's own alone.
//
// It is for the start of a daemon. A shim that starts a process waits half a minute for a reader of
// its output, and makes the next start wait. Older shims, those of containerd 1.6 among them,
// answer nothing about any container of the group meanwhile. So the streams are read before
// containerd is asked for anything.
func (c *Client) EndLeftExecs(ctx context.Context) {
	left, err := os.ReadDir(c.execsDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.log.Warn("exec'd processes of earlier daemons are not looked for", "error", err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	for _, dir := range left {
		exec, container, named := strings.Cut(dir.Name(), inContainer)
		if c.execs.has(exec) {
			continue
		}
		folder := c.execFolder(container, exec)
		if !named { // the daemon that made it kept no note of its container
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
			held, notNeeded := context.WithCancel(ctx)
			all.Go(func() { c.endStarts(held, folder) }) // its container may hold it up
			defer notNeeded()
			if err := c.endExec(ctx, folder); err != nil && !errdefs.IsCanceled(err) {
				c.log.Warn("an exec'd process of an earlier daemon may still run", "container", folder.container, "exec", folder.exec, "error", err)
			}
		})
	}
}

// drain reads everything until the returned value is closed. It opens both sides of each stream, so
// it waits for no writer, and no writer waits for it.
func (f execFolder) drain(reading *sync.WaitGroup) (streams []*os.File) {
	paths, _ := filepath.Glob(filepath.Join(f.path, "*"))
	for _, path := range paths {
		s, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // it has been closed, or is no stream
		}
		streams = append(streams, s)
		reading.Go(func() { _, _ = io.Copy(io.Discard, s) })
	}
	return streams
}

// endExecLater calls [Client.endExec] in the background, for a caller that has no more use for the
// process.
func (c *Client) endExecLater(ctx context.Context, f execFolder) {
	ctx, cancel := c.cleanup(ctx)
	c.leaving.Go(func() {
		defer cancel()
		if err := c.endExec(ctx, f); err != nil {
			c.log.Debug("exec'd process not deleted", "container", f.container, "error", err)
		}
	})
}

// endExec kills and deletes a process in any state, and then removes its folder. What containerd
// can't do now, such as while it restarts, is tried again until ctx ends.
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

// deleteExec deletes a process. One that lives is killed, with what it has started, and has to be
// deleted by another call. A process that is absent is no error.
func (c *Client) deleteExec(ctx context.Context, f execFolder) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	_, err := c.client.TaskService().DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: f.container, ExecID: f.exec})
	if err = errgrpc.ToNative(err); err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	c.killStarted(ctx, f)
	_, _ = c.client.TaskService().Kill(ctx, &tasks.KillRequest{ContainerID: f.container, ExecID: f.exec, Signal: uint32(unix.SIGKILL)})
	return err
}
