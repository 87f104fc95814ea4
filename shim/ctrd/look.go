package ctrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

// A look is a read-only view of an image, mounted for a moment. Its id names three things: the
// folder where it is mounted, the snapshot, and the lease that holds the snapshot. A daemon that is
// killed meanwhile leaves all three.

// lookPrefix begins the ids of all looks.
const lookPrefix = "sallyport-look-"

// lookIDs are the ids of one Client's looks. No other Client has the same.
type lookIDs struct {
	prefix string
	last   *atomic.Uint64
}

func newLookIDs() lookIDs {
	return lookIDs{lookPrefix + strconv.FormatInt(time.Now().UnixNano(), 36) + "-", new(atomic.Uint64)}
}

func (i lookIDs) next() string { return i.prefix + strconv.FormatUint(i.last.Add(1), 36) }

func (i lookIDs) has(id string) bool { return strings.HasPrefix(id, i.prefix) }

// withImage calls do with a folder in which a read-only view of an image is mounted.
func (c *Client) withImage(ctx context.Context, chainID string, do func(root string) error) (err error) {
	id := c.looks.next()
	lctx, end, err := c.leased(ctx, id)
	if err != nil {
		return fmt.Errorf("look into the image: %w", err)
	}
	defer end(false)
	snapshotter, err := c.snapshotter(lctx)
	if err != nil {
		return err
	}
	snapshots := c.client.SnapshotService(snapshotter)
	mounts, err := snapshots.View(lctx, id, chainID)
	if err != nil {
		return fmt.Errorf("look into the image: %w", err)
	}
	defer func() {
		ctx, cancel := c.cleanup(lctx)
		defer cancel()
		err = errors.Join(err, snapshots.Remove(ctx, id))
	}()
	root := filepath.Join(c.cfg.Layout.LooksDir(), id)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return fmt.Errorf("look into the image: %w", err)
	}
	defer func() { err = errors.Join(err, endLook(root)) }() // also of a part of the mounts
	if err := mount.All(mount.RemoveVolatileOption(mounts), root); err != nil {
		return fmt.Errorf("look into the image: mount it at %s: %w", root, err)
	}
	return do(root)
}

// endLook unmounts what is mounted at a folder, and removes the folder. It never removes what is
// in an image, because a folder with entries stays.
func endLook(root string) error {
	for {
		// It may still be in use, or its disk may not answer.
		err := unix.Unmount(root, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // nothing is mounted there
			break
		}
		if err != nil {
			return fmt.Errorf("unmount the image at %s: %w", root, err)
		}
	}
	if err := os.Remove(root); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look into the image: %w", err)
	}
	return nil
}

// UnmountLeftLooks unmounts the images that earlier daemons left mounted in the run folder when
// they were killed. Only the daemon that has the run folder to itself may call it, before it looks
// into an image. It asks containerd for nothing: see [Client.EndLeftLooks].
func UnmountLeftLooks(l layout.Layout) error {
	left, err := os.ReadDir(l.LooksDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("images that an earlier daemon left mounted: %w", err)
	}
	var errs []error
	for _, folder := range left {
		errs = append(errs, endLook(filepath.Join(l.LooksDir(), folder.Name())))
	}
	return errors.Join(errs...)
}

// EndLeftLooks removes the snapshots and leases that earlier daemons left when they were killed
// while they looked into images. What containerd can't do now is tried again until ctx ends. It
// leaves this daemon's own alone. It is for the start of a daemon, after [UnmountLeftLooks].
func (c *Client) EndLeftLooks(ctx context.Context) {
	for wait := lookAgain; ; wait = min(2*wait, time.Minute) {
		err := c.endLeftLooks(ctx)
		if err == nil {
			return
		}
		c.log.Debug("snapshots of an earlier daemon are not removed yet", "error", err)
		if pause(ctx, wait) != nil {
			return
		}
	}
}

func (c *Client) endLeftLooks(ctx context.Context) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	service := c.client.LeasesService()
	left, err := service.List(ctx, "id~="+strconv.Quote("^"+lookPrefix))
	if err != nil {
		return err
	}
	left = slices.DeleteFunc(left, func(l leases.Lease) bool { return c.looks.has(l.ID) })
	if len(left) == 0 {
		return nil
	}
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range left {
		err := c.client.SnapshotService(snapshotter).Remove(ctx, l.ID)
		if err == nil || errdefs.IsNotFound(err) {
			err = service.Delete(ctx, l)
		}
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
