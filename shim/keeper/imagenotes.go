package keeper

import (
	"context"
	"fmt"
	"maps"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// ImageNotes reads the configurations of images. Implemented by ctrd.Client.
type ImageNotes interface {
	// ImageNotes returns what the container's image asks for and the container doesn't get, a line
	// each. The digest is that of the image. It pulls and changes nothing, and returns nothing for
	// an image that is not on the host.
	ImageNotes(ctx context.Context, c spec.Container, digest string) ([]string, error)
	// CheckImage returns an error if the container asks of its image what that doesn't have. The
	// digest is that of the image. It pulls and changes nothing, and returns nil for an image that
	// is not on the host.
	CheckImage(ctx context.Context, c spec.Container, digest string) error
}

// checkImages returns an error if a container of the group asks of its image what that doesn't
// have. An image without a digest is not looked at.
func (k *Keeper) checkImages(ctx context.Context, g *spec.Group, digests group.ImageDigests) error {
	if k.config.ImageNotes == nil {
		return nil
	}
	for _, c := range g.Containers {
		if digests[c.Image] == "" {
			continue
		}
		if err := k.config.ImageNotes.CheckImage(ctx, c, digests[c.Image]); err != nil {
			return fmt.Errorf("group %s: %w", g.Name, err)
		}
	}
	return nil
}

// imageNotes returns the notes about a group's containers, as far as they can be read. An image
// without a digest has none.
func (k *Keeper) imageNotes(ctx context.Context, g *spec.Group, digests group.ImageDigests) (lines []string) {
	if k.config.ImageNotes == nil {
		return nil
	}
	for _, c := range g.Containers {
		if digests[c.Image] == "" {
			continue
		}
		notes, err := k.config.ImageNotes.ImageNotes(ctx, c, digests[c.Image])
		if err != nil {
			k.config.Log.Debug("no notes about an image", "group", g.Name, "image", c.Image, "error", err)
			continue
		}
		for _, n := range notes {
			lines = append(lines, c.Title()+": "+n)
		}
	}
	return lines
}

// tellImageNotes reports the notes about the groups of the change that are new or different.
func (c *change) tellImageNotes(ctx context.Context, digests map[string]group.ImageDigests, progress func(string)) {
	if progress == nil {
		return
	}
	for i := range c.groups {
		g := &c.groups[i]
		before := c.keeper.wantedNow(g.Name)
		if before.Group.Digest == g.Digest && maps.Equal(before.Pins, digests[g.Name]) {
			continue
		}
		for _, line := range c.keeper.imageNotes(ctx, g, digests[g.Name]) {
			progress(g.Name + ": " + line)
		}
	}
}
