package ctrd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Restore implements [runner.ImageKeeper]. An image that is not on the host any more is pulled by
// its digest, even if its tag has another meaning by now. An archive at its path is used if it
// still has that image.
func (c *Client) Restore(ctx context.Context, ref, sum string) (host.Image, error) {
	src, err := parseSource(ref)
	if err != nil {
		return host.Image{}, err
	}
	id, err := digest.Parse(sum)
	if err != nil {
		return host.Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return c.pulls.do(ctx, pullKey(ctx, ref+"@"+sum), ref, func(ctx context.Context) (host.Image, error) {
		ctx, cancel := c.ctx(ctx, 0)
		defer cancel()
		if err := c.prove(ctx, src, id); err != nil {
			return host.Image{}, c.unanswered(err)
		}
		img, err := c.restore(ctx, src, id)
		if err != nil {
			return host.Image{}, c.unanswered(err)
		}
		return host.Image{Ref: ref, Name: img.Name(), Digest: sum}, nil
	})
}

func (c *Client) restore(ctx context.Context, src source, id digest.Digest) (containerd.Image, error) {
	here, err := c.stillHere(ctx, src, id)
	if err == nil || !errdefs.IsNotFound(err) {
		return here, err
	}
	if src.kind == fromRegistry {
		bySum := src
		if bySum.name, err = nameBySum(src.name, id); err != nil {
			return nil, err
		}
		if here, err := c.underAnyName(ctx, bySum.name, id); err == nil || !errdefs.IsNotFound(err) {
			return here, err
		}
		if host.PullOf(ctx) == spec.PullNever {
			return nil, neverPulled(src.ref)
		}
		switch err = c.pull(ctx, bySum); {
		case err == nil:
			return c.present(ctx, bySum.name)
		case !errdefs.IsNotFound(err): // the registry may have it, so the hint is about the registry
			return nil, err
		}
		return nil, imageGone(src.ref, id, err, "apply the file again, which takes the images that its names mean now")
	}
	img, err := c.archiveImage(ctx, src)
	if err == nil && img.Target().Digest == id {
		return img, nil
	}
	if err == nil {
		err = fmt.Errorf("archive %s has another image by now", src.path)
	} else if _, hinted := errors.AsType[*hint.Error](err); !hinted { // it has nothing to do with the archive
		return nil, err
	}
	return nil, imageGone(src.ref, id, err, "put back the archive that had it, or apply the file again, which takes the archive that is at its path now")
}

func imageGone(name string, id digest.Digest, why error, hint_ string) error {
	return &hint.Error{Err: fmt.Errorf("image %s: %s is %w: %w", name, id, host.ErrImageGone, why), Hint: hint_}
}

// Resolve implements [runner.ImageKeeper].
func (c *Client) Resolve(ctx context.Context, ref string) (string, error) {
	src, err := parseSource(ref)
	if err != nil {
		return "", err
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	name := src.name
	if src.kind != fromRegistry {
		name = src.ref
	}
	record, err := c.client.ImageService().Get(ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		return "", c.unanswered(fmt.Errorf("image %s: %w", name, err))
	}
	if src.kind == fromRegistry {
		return record.Target.Digest.String(), nil
	}
	at, err := archive.Locate(ctx, src.kind, src.path)
	if err != nil || record.Labels[stampLabel] == at.Stamp {
		return record.Target.Digest.String(), nil
	}
	a, err := archive.Open(ctx, at, c.cfg.Layout.StateDir)
	if err != nil {
		return "", err
	}
	defer a.Close()
	chosen, err := archived(ctx, a, src.kind, platforms.Default())
	if err != nil {
		return "", err
	}
	return chosen.Manifest.Digest.String(), nil
}

// stillHere returns the image of that digest if it is on the host, unpacked. It looks for it by the
// name of its reference, by its own name, and without a name. If the image or part of its content
// is missing, the error is errdefs.ErrNotFound.
func (c *Client) stillHere(ctx context.Context, src source, id digest.Digest) (containerd.Image, error) {
	names := []string{archiveName(id)}
	if src.kind == fromRegistry {
		bySum, err := nameBySum(src.name, id)
		if err != nil {
			return nil, err
		}
		names = []string{src.name, bySum}
	}
	gctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	for _, name := range names {
		record, err := c.named(gctx, name)
		if err == nil && record.Target.Digest != id {
			continue
		}
		if err == nil {
			img := c.cached(record)
			return img, c.unpack(ctx, img)
		}
		if !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
	}
	record, err := c.nameless(gctx, names[len(names)-1], id)
	if err != nil {
		return nil, err
	}
	img := c.cached(record)
	return img, c.unpack(ctx, img)
}

// nameless returns a record of a retained image that containerd has no record of. It isn't stored:
// nothing would ever remove it.
func (c *Client) nameless(ctx context.Context, name string, id digest.Digest) (images.Image, error) {
	info, err := c.client.ContentStore().Info(ctx, id)
	if err != nil {
		return images.Image{}, fmt.Errorf("image %s: %w", name, err)
	}
	for label, mediaType := range info.Labels {
		if strings.HasPrefix(label, retainedLabel) {
			return images.Image{
				Name:   name,
				Target: ocispec.Descriptor{MediaType: mediaType, Digest: id, Size: info.Size},
				Labels: map[string]string{sourceLabel: name},
			}, nil
		}
	}
	return images.Image{}, fmt.Errorf("image %s: its media type is unknown: %w", name, errdefs.ErrNotFound)
}

// nameBySum returns the name of a registry's image by its digest, without the tag.
func nameBySum(name string, id digest.Digest) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	bySum, err := reference.WithDigest(reference.TrimNamed(named), id)
	if err != nil {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	return bySum.String(), nil
}
