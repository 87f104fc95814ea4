package ctrd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
	"github.com/sallyport/sallyport/spec"
)

// fillVolumes gives each empty volume that the container fills what its image has at the mount's
// path. It makes no container yet, so it has a time of its own.
func (c *Client) fillVolumes(ctx context.Context, req host.CreateRequest) error {
	var empty []spec.Mount
	for _, m := range req.Container.Mounts {
		if !m.FromImage {
			continue
		}
		path := c.cfg.Layout.VolumePath(req.Group.Name, m.Volume)
		mounted, err := mountinfo.Mounted(path)
		if err == nil && !mounted {
			err = errors.New("it is not mounted")
		}
		filled := false
		if err == nil {
			filled, err = inside.Filled(path)
		}
		if err != nil {
			return fmt.Errorf("fill volume %s: %w", m.Volume, err)
		}
		if !filled {
			empty = append(empty, m)
		}
	}
	if len(empty) == 0 {
		return nil
	}
	image, err := c.facts(ctx, req.Image)
	if err != nil {
		return c.unanswered(err)
	}
	ctx, cancel := c.ctx(ctx, inside.FillTimeout)
	defer cancel()
	return c.withImage(ctx, image.chainID, func(root string) error {
		return c.fillFrom(ctx, req, root, empty)
	})
}

// fillFrom fills volumes from the image that is mounted at a path.
func (c *Client) fillFrom(ctx context.Context, req host.CreateRequest, at string, empty []spec.Mount) error {
	image, err := inside.OpenFolder(at)
	if err != nil {
		return err
	}
	defer image.Close()
	for _, m := range empty {
		v := spec.FindVolume(req.Group.Volumes, m.Volume)
		owned := v != nil && v.Owner == "" && v.Mode == 0
		err := image.Fill(ctx, m.Path, c.cfg.Layout.VolumePath(req.Group.Name, m.Volume), owned)
		if err != nil {
			return fillProblem(m, err)
		}
	}
	return nil
}

// fillProblem words the error of a volume that could not be filled.
func fillProblem(m spec.Mount, err error) error {
	wrapped := fmt.Errorf("fill volume %s from the image: %w", m.Volume, err)
	if owner, ok := errors.AsType[*inside.OwnerError](err); ok {
		return &hint.Error{Err: wrapped, Hint: fmt.Sprintf("write them in the volume's block: owner = \"%d:%d\" and mode = \"%04o\"", owner.UID, owner.GID, owner.Mode)}
	}
	full := slices.ContainsFunc([]error{unix.ENOSPC, unix.EDQUOT}, func(target error) bool { return errors.Is(err, target) })
	switch {
	case errors.Is(err, inside.ErrNoFolder):
		return &hint.Error{Err: fmt.Errorf("fill volume %s: the image has no folder %s", m.Volume, m.Path), Hint: "remove from_image, or mount the volume at a folder of the image"}
	case full:
		return &hint.Error{Err: wrapped, Hint: "raise the volume's size; one without persistent = true is in memory"}
	}
	return wrapped
}
