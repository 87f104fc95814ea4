package ctrd

import (
	"context"
	"fmt"
	"strconv"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/host"
)

// retainedLabel is the prefix of a label of an image's manifest or index. An image of the name that
// follows is retained, and the value is its media type.
const retainedLabel = "sallyport.dev/held/"

// leaseID is the lease of one generation. Group names have no dot.
func leaseID(group string, generation int) string {
	return "sallyport." + group + "." + strconv.Itoa(generation)
}

// Retain implements [runner.ImageKeeper], by a lease for each generation. The manifest or index in
// the lease keeps everything that the image consists of, its root filesystem included.
func (c *Client) Retain(ctx context.Context, group string, generation int, image host.Image) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	if err := c.retain(ctx, group, generation, image); err != nil {
		return c.unanswered(fmt.Errorf("retain image %s: %w", image.Ref, err))
	}
	return nil
}

func (c *Client) retain(ctx context.Context, group string, generation int, image host.Image) error {
	names, err := namesOf(image)
	if err != nil {
		return err
	}
	service := c.client.LeasesService()
	lease, err := service.Create(ctx, leases.WithID(leaseID(group, generation)), leases.WithLabels(map[string]string{
		labelGroup: group, labelGeneration: strconv.Itoa(generation),
	}))
	if errdefs.IsAlreadyExists(err) {
		lease, err = leases.Lease{ID: leaseID(group, generation)}, nil
	}
	if err != nil {
		return err
	}
	if err := service.AddResource(ctx, lease, leases.Resource{ID: image.Digest, Type: "content"}); err != nil {
		return err
	}
	return c.noteNames(ctx, image, names)
}

// namesOf returns containerd's names for the image: its own, by its digest, and its reference's.
// containerd knows a registry's image by its digest if it was pulled by that.
func namesOf(image host.Image) ([]string, error) {
	src, err := parseSource(image.Ref)
	if err != nil {
		return nil, err
	}
	id, err := digest.Parse(image.Digest)
	if err != nil {
		return nil, err
	}
	if src.kind != fromRegistry {
		return []string{archiveName(id), src.ref}, nil
	}
	bySum, err := nameBySum(src.name, id)
	return []string{bySum, src.name}, err
}

// noteNames writes the names on the image's content, for [Client.restoreName]. If containerd
// doesn't have a name any more, or it means another image by now, the media type is unknown, and an
// earlier note stays.
func (c *Client) noteNames(ctx context.Context, image host.Image, names []string) error {
	for _, name := range names {
		record, err := c.client.ImageService().Get(ctx, name)
		if errdefs.IsNotFound(err) || err == nil && record.Target.Digest.String() != image.Digest {
			continue
		}
		if err != nil {
			return err
		}
		label := retainedLabel + name
		_, err = c.client.ContentStore().Update(ctx, content.Info{
			Digest: record.Target.Digest, Labels: map[string]string{label: record.Target.MediaType},
		}, "labels."+label)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// restoreName makes the name of a retained image again after it was deleted. If several images had
// the name, the last one noted gets it.
func (c *Client) restoreName(ctx context.Context, name string) (restored bool, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	var found content.Info
	err = c.client.ContentStore().Walk(ctx, func(i content.Info) error {
		if found.Digest == "" || i.UpdatedAt.After(found.UpdatedAt) {
			found = i
		}
		return nil
	}, "labels."+strconv.Quote(retainedLabel+name))
	if err != nil || found.Digest == "" {
		return false, err
	}
	c.log.Info("a retained image has its name again", "image", name, "digest", found.Digest)
	return true, c.putImage(ctx, images.Image{
		Name:   name,
		Target: ocispec.Descriptor{MediaType: found.Labels[retainedLabel+name], Digest: found.Digest, Size: found.Size},
		Labels: map[string]string{sourceLabel: name},
	})
}

// Retained implements [runner.ImageKeeper].
func (c *Client) Retained(ctx context.Context) (map[string][]int, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	all, err := c.client.LeasesService().List(ctx, "labels."+strconv.Quote(labelGroup))
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list retained images: %w", err))
	}
	held := map[string][]int{}
	for _, l := range all {
		group := l.Labels[labelGroup]
		if generation, err := strconv.Atoi(l.Labels[labelGeneration]); err == nil && l.ID == leaseID(group, generation) {
			held[group] = append(held[group], generation)
		}
	}
	return held, nil
}

// Release implements [runner.ImageKeeper].
func (c *Client) Release(ctx context.Context, group string, generation int) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	err := c.client.LeasesService().Delete(ctx, leases.Lease{ID: leaseID(group, generation)})
	if err != nil && !errdefs.IsNotFound(err) {
		return c.unanswered(err)
	}
	return nil
}
