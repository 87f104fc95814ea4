package ctrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim"
)

// Restore implements [shim.ImageKeeper]. What is not on the host any more is pulled by its digest, whatever its tag means by now; of an
// archive, what is at its path is taken where it still is that image.
func (c *Client) Restore(ctx context.Context, ref, sum string) (shim.Image, error) {
	src, err := parseSource(ref)
	if err != nil {
		return shim.Image{}, err
	}
	id, err := digest.Parse(sum)
	if err != nil {
		return shim.Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return c.flights.do(ctx, ref+"@"+sum, func(ctx context.Context) (shim.Image, error) {
		ctx, cancel := c.ctx(ctx, 0)
		defer cancel()
		img, err := c.recall(ctx, src, id)
		if err != nil {
			return shim.Image{}, c.unanswered(err)
		}
		return shim.Image{Ref: ref, Name: img.Name(), Digest: sum}, nil
	})
}

func (c *Client) recall(ctx context.Context, src source, id digest.Digest) (containerd.Image, error) {
	here, err := c.stillHere(ctx, src, id)
	if err == nil || !errdefs.IsNotFound(err) {
		return here, err
	}
	if src.kind == fromRegistry {
		bySum := src
		if bySum.name, err = nameBySum(src.name, id); err != nil {
			return nil, err
		}
		switch err = c.pull(ctx, bySum); {
		case err == nil:
			return c.present(ctx, bySum.name)
		case !errdefs.IsNotFound(err): // the registry may have it: what to do is about the registry
			return nil, err
		}
		return nil, imageGone(src.ref, id, err, "apply the file again: what its image names mean now is taken then")
	}
	img, err := c.archiveImage(ctx, src)
	if err == nil && img.Target().Digest == id {
		return img, nil
	}
	if err == nil {
		err = fmt.Errorf("archive %s has another image by now", src.path)
	} else if _, told := errors.AsType[*shim.Problem](err); !told { // it is not about the archive
		return nil, err
	}
	return nil, imageGone(src.ref, id, err, "put the archive back that had it, or apply the file again: what is at its path now is taken then")
}

func imageGone(name string, id digest.Digest, why error, hint string) error {
	return &shim.Problem{Err: fmt.Errorf("image %s: %s is %w: %w", name, id, shim.ErrImageGone, why), Hint: hint}
}

// Resolve implements [shim.ImageKeeper].
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
	fi, err := os.Stat(src.path)
	if err != nil || record.Labels[stampLabel] == stamp(fi) {
		return record.Target.Digest.String(), nil
	}
	a, err := openArchive(src.path)
	if err != nil {
		return "", err
	}
	defer a.Close()
	chosen, err := a.image(src.kind)
	if err != nil {
		return "", err
	}
	return chosen.manifest.Digest.String(), nil
}

// stillHere is the image of that digest if it is on the host, unpacked: by the name that its reference has, by its own, or by none at all.
// What of it is missing is errdefs.ErrNotFound.
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

// nameless is a record, which containerd has none of, of an image that is held. It gets no name there: nothing would ever take that
// away again.
func (c *Client) nameless(ctx context.Context, name string, id digest.Digest) (images.Image, error) {
	info, err := c.client.ContentStore().Info(ctx, id)
	if err != nil {
		return images.Image{}, fmt.Errorf("image %s: %w", name, err)
	}
	for label, mediaType := range info.Labels {
		if strings.HasPrefix(label, heldLabel) {
			return images.Image{
				Name:   name,
				Target: ocispec.Descriptor{MediaType: mediaType, Digest: id, Size: info.Size},
				Labels: map[string]string{sourceLabel: name},
			}, nil
		}
	}
	return images.Image{}, fmt.Errorf("image %s: nothing says what it is: %w", name, errdefs.ErrNotFound)
}

// nameBySum is the name of an image of a registry by its digest, without the tag.
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
