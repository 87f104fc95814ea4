package ctrd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/sallyport/sallyport/shim/host"
)

// Layers returns the writable layers of our containers. A snapshotter that has no such folder, as
// the native one, has its containers' whole root filesystems instead.
func (c *Client) Layers(ctx context.Context) ([]host.Layer, error) { return c.GroupLayers(ctx, "") }

// GroupLayers returns the writable layers of one group's containers, or of every group's if group
// is "".
func (c *Client) GroupLayers(ctx context.Context, group string) ([]host.Layer, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	filter := "labels." + strconv.Quote(labelGroup)
	if group != "" {
		filter += "==" + strconv.Quote(group)
	}
	records, err := c.client.ContainerService().List(ctx, filter)
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
		l := layer(s.Group, s.Name, mounts[0])
		l.Image = s.ImageDigest
		layers = append(layers, l)
	}
	return layers, nil
}

// layer returns the writable layer of a container from the first mount of its snapshot.
func layer(group, container string, m mount.Mount) host.Layer {
	l := host.Layer{Group: group, Container: container, Path: m.Source}
	for _, option := range m.Options {
		if upper, ok := strings.CutPrefix(option, "upperdir="); ok {
			l.Path = upper
		} else if work, ok := strings.CutPrefix(option, "workdir="); ok {
			l.Work = work
		}
	}
	return l
}
