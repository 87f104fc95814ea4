package ctrd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/host"
)

// stampLabel has the stamp of the file that an image was imported from. It distinguishes the files
// that were at one path.
const stampLabel = "sallyport.dev/archive-stamp"

// archiveName returns containerd's name for an image that came from an archive, at any path.
func archiveName(id digest.Digest) string { return "sallyport.local/archive@" + id.String() }

// archiveImage returns the image in an archive. Each image is imported once, under a name with its
// digest. A second record, whose name is the reference, has the image that the path means. An
// archive that hasn't changed is not opened, and one that is gone is the image that it was.
func (c *Client) archiveImage(ctx context.Context, src source) (containerd.Image, error) {
	last, err := c.lastImport(ctx, src)
	if err != nil {
		return nil, err
	}
	at, err := archive.Locate(ctx, src.kind, src.path)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && (!gone || last == nil) {
		return nil, err
	}
	if last != nil && (gone || last.Labels[stampLabel] == at.Stamp) {
		img, err := c.present(ctx, archiveName(last.Target.Digest))
		if err == nil || !errdefs.IsNotFound(err) {
			return img, err
		}
		if gone {
			_, err := archive.Locate(ctx, src.kind, src.path)
			return nil, err
		}
	}
	return c.openAndImport(ctx, src, at)
}

// lastImport returns the record of the image that the path last meant. A nil record means that
// there was none.
func (c *Client) lastImport(ctx context.Context, src source) (*images.Image, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	record, err := c.named(ctx, src.ref)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", src.ref, err)
	}
	return &record, nil
}

// openAndImport imports the archive's image, unless it is present, and records that the path means
// it.
func (c *Client) openAndImport(ctx context.Context, src source, at archive.Place) (containerd.Image, error) {
	moved := transferOf(ctx)
	moved.enter(host.Importing) // it may read all of the archive
	a, err := archive.Open(ctx, at, c.cfg.Layout.StateDir)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	chosen, err := archived(ctx, a, src.kind, platforms.Default())
	if err != nil {
		return nil, err
	}
	moved.enter("")
	name := archiveName(chosen.Manifest.Digest)
	img, err := c.present(ctx, name)
	if errdefs.IsNotFound(err) {
		begun := time.Now()
		if img, err = c.importImage(ctx, src, a, chosen); err == nil {
			c.log.Info("imported an image", "archive", src.path, "digest", chosen.Manifest.Digest, "took", time.Since(begun))
		}
	}
	if err != nil {
		return nil, err
	}
	target := img.Target()
	return img, c.putImage(ctx, images.Image{
		Name:   src.ref,
		Target: target,
		Labels: map[string]string{sourceLabel: src.ref, stampLabel: a.Stamp},
	})
}

// archived chooses the image for a platform from an archive of that kind.
func archived(ctx context.Context, a *archive.Archive, kind archive.Kind, want platforms.MatchComparer) (*archive.Image, error) {
	if kind == archive.Docker {
		return a.DockerImage(ctx, want)
	}
	return a.OCIImage(ctx, want)
}

// importImage writes an image into containerd, unpacks it, and gives it its name last. A failure
// before that leaves nothing.
func (c *Client) importImage(ctx context.Context, src source, a *archive.Archive, chosen *archive.Image) (_ containerd.Image, err error) {
	ctx, end, err := c.leased(ctx, "sallyport-import-"+chosen.Manifest.Digest.Encoded())
	if err != nil {
		return nil, err
	}
	defer func() { end(err != nil) }()

	moved := transferOf(ctx)
	moved.enter(host.Importing)
	for _, b := range chosen.Blobs {
		moved.expect(b.Desc)
	}
	record := images.Image{
		Name:   archiveName(chosen.Manifest.Digest),
		Target: bare(chosen.Manifest),
		Labels: map[string]string{sourceLabel: src.ref},
	}
	img, err := c.importContent(ctx, a, chosen, record)
	if err != nil {
		return nil, err
	}
	return img, c.putImage(ctx, record)
}

// importContent writes what an image consists of, and unpacks it. The record is not stored. ctx has
// a lease.
func (c *Client) importContent(ctx context.Context, a *archive.Archive, chosen *archive.Image, record images.Image) (containerd.Image, error) {
	store, written := c.client.ContentStore(), map[digest.Digest]bool{}
	for _, b := range chosen.Blobs {
		if err := c.writeBlob(ctx, store, a, b); err != nil {
			return nil, err
		}
		written[b.Desc.Digest] = true
	}
	children := images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		all, err := images.Children(ctx, store, d)
		return slices.DeleteFunc(all, func(child ocispec.Descriptor) bool { return !written[child.Digest] }), err // of an index, other platforms
	})
	lctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	if err := images.Walk(lctx, images.SetChildrenLabels(store, children), record.Target); err != nil {
		return nil, fmt.Errorf("import archive %s: %w", a.Path, err)
	}
	img := c.cached(record)
	if err := c.unpack(ctx, img); err != nil {
		return nil, fmt.Errorf("archive %s: %w", a.Path, err)
	}
	return img, nil
}

// bare returns a descriptor without what the archive's index added to it.
func bare(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// writeBlob copies one blob. containerd computes the digest and refuses any other than the expected
// one.
func (c *Client) writeBlob(ctx context.Context, store content.Store, a *archive.Archive, b archive.Blob) error {
	ctx, watch := watchStall(ctx, stallTimeout)
	defer watch.stop()
	err := content.WriteBlob(ctx, store, "sallyport-"+b.Desc.Digest.String(), &countingSection{SectionReader: b.Bytes, moved: watch.moved, id: b.Desc.Digest, to: transferOf(ctx)}, bare(b.Desc))
	switch {
	case err == nil:
		transferOf(ctx).at(b.Desc.Digest, b.Desc.Size) // also if containerd had it
		return nil
	case errors.Is(context.Cause(ctx), registry.ErrStalled):
		return fmt.Errorf("import archive %s: containerd took nothing for %v", a.Path, stallTimeout)
	case errdefs.IsFailedPrecondition(err):
		return a.Damaged(fmt.Errorf("blob %s: %w", b.Desc.Digest, err))
	}
	return fmt.Errorf("import archive %s: blob %s: %w", a.Path, b.Desc.Digest, err)
}

// putImage makes or replaces an image record.
func (c *Client) putImage(ctx context.Context, record images.Image) error {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	service := c.client.ImageService()
	_, err := service.Update(ctx, record)
	if errdefs.IsNotFound(err) {
		_, err = service.Create(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("record image %s: %w", record.Name, err)
	}
	return nil
}
