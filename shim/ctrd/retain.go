package ctrd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/host"
)

// retainedLabel is the prefix of a label of an image's manifest or index. An image of the name that
// follows is retained, and the value is its media type.
const retainedLabel = "sallyport.dev/held/"

// notesAtOnce is for how many images names are written at the same time.
const notesAtOnce = 8

// leaseID is the lease of one generation. Group names have no dot.
func leaseID(group string, generation int) string {
	return "sallyport." + group + "." + strconv.Itoa(generation)
}

// Retain implements [runner.ImageKeeper], by a lease for each generation. The manifest or index in
// the lease keeps everything that the image consists of, its root filesystem included.
//
// containerd syncs its database at each write. So only what is missing is written.
func (c *Client) Retain(ctx context.Context, group string, generation int, image host.Image) error {
	limited, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	err := c.addToLease(limited, group, generation, image.Digest)
	if err == nil {
		err = c.noteNames(ctx, image) // its time does not run while others are answered
	}
	if err != nil {
		return c.unanswered(fmt.Errorf("retain image %s: %w", image.Ref, err))
	}
	return nil
}

// addToLease adds the content to the lease of a generation. It makes the lease if there is none.
func (c *Client) addToLease(ctx context.Context, group string, generation int, content string) error {
	service, lease := c.client.LeasesService(), leases.Lease{ID: leaseID(group, generation)}
	resource := leases.Resource{ID: content, Type: "content"}
	has, err := service.ListResources(ctx, lease)
	if errdefs.IsNotFound(err) {
		_, err = service.Create(ctx, leases.WithID(lease.ID), leases.WithLabels(map[string]string{
			labelGroup: group, labelGeneration: strconv.Itoa(generation),
		}))
		if errdefs.IsAlreadyExists(err) { // another image of the group was faster
			err = nil
		}
	}
	if err != nil || slices.Contains(has, resource) {
		return err
	}
	return service.AddResource(ctx, lease, resource)
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

// noteNames does what writeNames does. Groups that retain the same image at the same time share
// that: a new daemon retains those of all groups.
func (c *Client) noteNames(ctx context.Context, image host.Image) error {
	image = host.Image{Ref: image.Ref, Digest: image.Digest} // writeNames uses no more of it
	errs, err := c.noted.do(ctx, image)
	return cmp.Or(err, errs[image])
}

// noteAll returns why the names of an image could not be written, by image.
func (c *Client) noteAll(ctx context.Context, all []host.Image) (map[host.Image]error, error) {
	errs := map[host.Image]error{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(notesAtOnce)
	for _, image := range all {
		g.Go(func() error {
			ctx, cancel := c.ctx(ctx, callTimeout)
			defer cancel()
			err := c.writeNames(ctx, image)
			mu.Lock()
			defer mu.Unlock()
			errs[image] = err
			return nil
		})
	}
	return errs, g.Wait()
}

// writeNames writes the image's names on its content, for [Client.restoreName]. If containerd
// doesn't have a name any more, or it means another image by now, the media type is unknown, and an
// earlier note stays.
func (c *Client) writeNames(ctx context.Context, image host.Image) error {
	names, err := namesOf(image)
	if err != nil {
		return err
	}
	note := content.Info{Digest: digest.Digest(image.Digest), Labels: map[string]string{}}
	var fields []string
	for _, name := range names {
		record, err := c.client.ImageService().Get(ctx, name)
		if errdefs.IsNotFound(err) || err == nil && record.Target.Digest != note.Digest {
			continue
		}
		if err != nil {
			return err
		}
		last, err := c.lastNoted(ctx, name)
		if err != nil {
			return err
		}
		if label := retainedLabel + name; last.Digest != note.Digest || last.Labels[label] != record.Target.MediaType {
			note.Labels[label] = record.Target.MediaType
			fields = append(fields, "labels."+label)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	_, err = c.client.ContentStore().Update(ctx, note, fields...)
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// lastNoted returns the content that had this name noted on it last. Its digest is empty if there
// is none.
func (c *Client) lastNoted(ctx context.Context, name string) (last content.Info, err error) {
	var noted []content.Info
	err = c.client.ContentStore().Walk(ctx, func(i content.Info) error {
		noted = append(noted, i)
		return nil
	}, "labels."+strconv.Quote(retainedLabel+name))
	if err != nil {
		return last, err
	}
	if len(noted) == 1 {
		return noted[0], nil
	}
	for _, i := range noted {
		// The list of containerd 1.6 leaves out when it was updated.
		i, err := c.client.ContentStore().Info(ctx, i.Digest)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return last, err
		}
		if last.Digest == "" || i.UpdatedAt.After(last.UpdatedAt) {
			last = i
		}
	}
	return last, nil
}

// restoreName makes the name of a retained image again after it was deleted. If several images had
// the name, the last one noted gets it.
func (c *Client) restoreName(ctx context.Context, name string) (restored bool, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	found, err := c.lastNoted(ctx, name)
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
	held, err := c.retained.do(ctx, struct{}{})
	if err != nil {
		return nil, c.unanswered(fmt.Errorf("list retained images: %w", err))
	}
	return held, nil
}

// listRetained returns the generations with a lease, by group. Callers share the answer.
func (c *Client) listRetained(ctx context.Context, _ []struct{}) (map[string][]int, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	all, err := c.client.LeasesService().List(ctx, "labels."+strconv.Quote(labelGroup))
	if err != nil {
		return nil, err
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
