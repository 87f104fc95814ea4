package ctrd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
)

// Layers returns the writable layers of our containers. A snapshotter that has no such folder, as
// the native one, has its containers' whole root filesystems instead.
func (c *Client) Layers(ctx context.Context) ([]host.Layer, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	records, err := c.client.ContainerService().List(ctx, "labels."+strconv.Quote(labelGroup))
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list containers: %w", err))
	}
	var layers []host.Layer
	for _, r := range records {
		mounts, err := c.client.SnapshotService(r.Snapshotter).Mounts(ctx, r.SnapshotKey)
		if err != nil || len(mounts) == 0 {
			continue // removed meanwhile
		}
		s := fromLabels(r.Labels)
		layer := host.Layer{Group: s.Group, Container: s.Name, Path: mounts[0].Source, Image: s.ImageDigest}
		for _, option := range mounts[0].Options {
			if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
				layer.Path = upper
			}
		}
		layers = append(layers, layer)
	}
	return layers, nil
}
