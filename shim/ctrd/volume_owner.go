package ctrd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
	"github.com/sallyport/sallyport/spec"
)

// ownVolumes gives each volume with an owner by name to that user of the container's image, if the
// container is among those whose image has the name.
func (c *Client) ownVolumes(ctx context.Context, req host.CreateRequest, image *imageFacts) error {
	for _, v := range req.Group.Volumes {
		if !v.NamesOwner() || !isWriter(req, v.Name) {
			continue
		}
		u, err := c.user(ctx, image, v.Owner, nil)
		if unknown, ok := errors.AsType[*hint.Error](err); ok {
			err = &hint.Error{Err: unknown.Err, Hint: "write owner = \"uid:gid\" in numbers, or a name that is in the /etc/passwd of the image"}
		}
		if err == nil {
			err = inside.Chown(c.cfg.Layout.VolumePath(req.Group.Name, v.Name), u.UID, u.GID)
		}
		if err != nil {
			return fmt.Errorf("owner of volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func isWriter(req host.CreateRequest, volume string) bool {
	return slices.ContainsFunc(req.Group.Writers(volume), func(c *spec.Container) bool { return c.Name == req.Container.Name })
}
