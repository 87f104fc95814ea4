package ctrd

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	// removeTimeout bounds killing, and deleting what a dead shim may have left mounted.
	removeTimeout = time.Minute
	// removeAgain is how long we try to delete a task that can't be deleted. containerd takes
	// seconds to clean up after a shim.
	removeAgain = 10 * time.Second
)

// Remove implements [runner.Runtime]. The root filesystem stays while a task's processes may live.
// The record goes last. So what a removal leaves that failed or was cut off is observed, and
// removed again.
func (c *Client) Remove(ctx context.Context, group, container string) (err error) {
	defer c.explain(ctx, group, &err)
	ctx, cancel := c.ctx(ctx, removeTimeout)
	defer cancel()
	defer c.limits.lower(c.shimGroup(group))()
	id := spec.ID(group, container)
	if err := c.remove(ctx, group, container); err != nil {
		return runtimeProblem("remove", id, err)
	}
	c.dismissShim(ctx, c.shimGroup(group), id)
	return nil
}

// remove leaves the shim alone: another container of the group may be about to use it.
func (c *Client) remove(ctx context.Context, group, container string) error {
	id := spec.ID(group, container)
	if err := c.removeTask(ctx, c.shimGroup(group), id); err != nil {
		return err
	}
	if err := errors.Join(removeFiles(c.cfg.Layout, group, container), c.removeSnapshot(ctx, id)); err != nil {
		return err
	}
	if err := c.client.ContainerService().Delete(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// removeTask kills and deletes until there is no task. The last tasks of a shim race with its exit,
// so an answer may be lost although the task is gone. Therefore it goes by what it finds
// afterwards, in containerd and outside of it. A task that containerd has lost is a [leftover],
// which is removed without it.
func (c *Client) removeTask(ctx context.Context, shimGroup, id string) error {
	for began := time.Now(); ; {
		p, err := c.process(ctx, id)
		if err == nil && p != nil && taskState(p) != host.TaskStopped {
			err = c.kill(ctx, id)
		}
		left := c.leftover(id)
		if err == nil && (p != nil || left == nil || time.Since(began) > settles) {
			// This also deletes a task that isn't there. If its deletion was cut off, containerd
			// may have the name and nothing else.
			err = c.deleteTask(ctx, id)
			left = c.leftover(id)
		}
		switch {
		case err == nil && left == nil:
			return nil
		case err == nil && p == nil && time.Since(began) > c.leftoverAfter:
			return c.removeLeftover(ctx, shimGroup, id, left)
		case err == nil:
			err = left
		case time.Since(began) > removeAgain:
			return err
		}
		if pause(ctx, lookAgain) != nil {
			return err
		}
	}
}

func (c *Client) deleteTask(ctx context.Context, id string) error {
	_, err := c.client.TaskService().Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// removeSnapshot removes a container's writable layer, which nothing has mounted any more.
func (c *Client) removeSnapshot(ctx context.Context, key string) error {
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return err
	}
	if err := c.emptyLayer(ctx, snapshotter, key); err != nil {
		return err
	}
	if err := c.client.SnapshotService(snapshotter).Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	return nil
}

// emptyLayer deletes what the container has written. containerd would do that with os.RemoveAll,
// which has a descriptor open for each level of folders. If a container nests them too deeply for
// that, containerd logs it, reports success, and leaves them on the disk for good.
func (c *Client) emptyLayer(ctx context.Context, snapshotter, key string) error {
	mounts, err := c.client.SnapshotService(snapshotter).Mounts(ctx, key)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	written := writableLayer(mounts)
	if written == "" {
		return nil
	}
	if c.cfg.BoundLayer != nil { // else the file system keeps the limit of what is gone
		if err := c.cfg.BoundLayer(ctx, 0, layer("", "", mounts[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("the bound of a removed container stays with its file system", "container", key, "error", err)
		}
	}
	if err := disk.RemoveAll(ctx, written); err != nil {
		if ctx.Err() != nil {
			return err // another call goes on with it
		}
		c.log.Warn("part of a container's layer stays on the disk", "container", key, "error", err)
	}
	return nil
}

// writableLayer returns the folder that a container's writes go to. It is empty if there is none,
// which depends on the snapshotter.
func writableLayer(mounts []mount.Mount) string {
	if len(mounts) != 1 {
		return ""
	}
	m := mounts[0]
	if m.Type == "bind" && slices.Contains(m.Options, "rw") { // an image without layers
		return m.Source
	}
	for _, o := range m.Options {
		if upper, ok := strings.CutPrefix(o, "upperdir="); ok && m.Type == "overlay" {
			return upper
		}
	}
	return ""
}
