package ctrd

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// maxConfig limits an image's configuration, in bytes. It is read into memory, and an image of
// anyone's may be asked for.
const maxConfig = 8 << 20

func boundConfig(config ocispec.Descriptor) error {
	if config.Size > maxConfig {
		return fmt.Errorf("its configuration has %s, and at most %s is read", spec.FormatSize(config.Size), spec.FormatSize(maxConfig))
	}
	return nil
}

// ImageNotes implements [keeper.ImageNotes]. It pulls and imports nothing.
func (c *Client) ImageNotes(ctx context.Context, container spec.Container, id string) ([]string, error) {
	config, err := c.configOf(ctx, container, id)
	if err != nil || config == nil {
		return nil, err
	}
	notes, err := oci.ImageNotes(container, config)
	return append(notes, c.proofNotes(container, id)...), hint.Bound(err)
}

// CheckImage implements [keeper.ImageNotes]. It pulls and imports nothing.
func (c *Client) CheckImage(ctx context.Context, container spec.Container, id string) error {
	if !container.AsksImage() {
		return nil
	}
	config, err := c.configOf(ctx, container, id)
	if err != nil || config == nil {
		return err
	}
	return oci.CheckProbes(container, config)
}

// configOf returns the JSON of the configuration of the container's image, with that digest. It
// returns nil if the image is neither present nor in its archive.
func (c *Client) configOf(ctx context.Context, container spec.Container, id string) ([]byte, error) {
	src, err := parseSource(container.Image)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	return c.rawConfig(ctx, src, digest.Digest(id))
}

// rawConfig returns the JSON of the configuration of an image with that digest. It returns nil if
// the image is neither present nor in its archive.
func (c *Client) rawConfig(ctx context.Context, src source, id digest.Digest) ([]byte, error) {
	names := []string{archiveName(id)}
	if src.kind == fromRegistry {
		names = []string{src.name}
		if bySum, err := nameBySum(src.name, id); err == nil {
			names = append(names, bySum)
		}
	}
	for _, name := range names {
		record, err := c.client.ImageService().Get(ctx, name)
		if errdefs.IsNotFound(err) || err == nil && record.Target.Digest != id {
			continue
		}
		if err != nil {
			return nil, c.unanswered(fmt.Errorf("image %s: %w", name, err))
		}
		desc, err := c.cached(record).Config(ctx)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		if err := boundConfig(desc); err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		return content.ReadBlob(ctx, c.client.ContentStore(), desc)
	}
	if src.kind == fromRegistry {
		return nil, nil
	}
	at, err := archive.Locate(ctx, src.kind, src.path)
	if err != nil {
		return nil, err
	}
	a, err := archive.Open(ctx, at, c.cfg.Layout.StateDir)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	chosen, err := archived(ctx, a, src.kind, platforms.Default())
	if err != nil || chosen.Manifest.Digest != id {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(chosen.Blobs[0].Bytes, maxConfig))
}
