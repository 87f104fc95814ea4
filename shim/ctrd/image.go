package ctrd

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	// unpackTimeout bounds the unpacking of one image, which shows no progress.
	unpackTimeout = 15 * time.Minute
	// leaseLife is how long containerd keeps what a killed daemon had begun to write. The next
	// daemon goes on with it.
	leaseLife = 24 * time.Hour
)

// sourceLabel has where an image came from: the reference as the group file had it.
const sourceLabel = "sallyport.dev/source"

// imageHandles are containerd's images by name. A handle that was asked for its layers remembers
// them.
type imageHandles struct {
	mu     sync.Mutex
	byName map[string]containerd.Image
}

// pullKey returns the key of work for an image that callers share: those who ask for the same image
// in the same way.
func pullKey(ctx context.Context, ref string) string {
	if host.PullOf(ctx) != spec.PullMissing {
		ref += " " + string(host.PullOf(ctx))
	}
	return ref + signersKey(ctx)
}

// Image makes the image that a group file names present and unpacked. An image that is present is
// not pulled again, even if its tag has another meaning by now. An archive that has changed is
// another image. Several callers share one pull.
func (c *Client) Image(ctx context.Context, ref string) (_ host.Image, err error) {
	defer c.explain(ctx, "", &err)
	src, err := parseSource(ref)
	if err != nil {
		return host.Image{}, err
	}
	return c.pulls.do(ctx, pullKey(ctx, ref), ref, func(ctx context.Context) (host.Image, error) {
		ctx, cancel := c.ctx(ctx, 0)
		defer cancel()
		var img containerd.Image
		var err error
		if src.kind == fromRegistry {
			img, err = c.registryImage(ctx, src)
		} else {
			img, err = c.archiveImage(ctx, src)
		}
		if err == nil {
			err = c.prove(ctx, src, img.Target().Digest)
		}
		if err != nil {
			return host.Image{}, c.unanswered(err)
		}
		return host.Image{Ref: ref, Name: img.Name(), Digest: img.Target().Digest.String()}, nil
	})
}

// registryImage returns the image of that name. It pulls the image if it isn't present, or as the
// context has it: always, unless the name has a digest, or never.
func (c *Client) registryImage(ctx context.Context, src source) (containerd.Image, error) {
	mode := host.PullOf(ctx)
	if mode != spec.PullAlways || strings.Contains(src.name, "@") {
		img, err := c.present(ctx, src.name)
		if err == nil || !errdefs.IsNotFound(err) {
			return img, err
		}
	}
	if _, sum, pinned := strings.Cut(src.name, "@"); pinned {
		img, err := c.underAnyName(ctx, src.name, digest.Digest(sum))
		if err == nil || !errdefs.IsNotFound(err) {
			return img, err
		}
	}
	if mode == spec.PullNever {
		return nil, neverPulled(src.ref)
	}
	begun := time.Now()
	ctx, err := c.proveMeant(ctx, src)
	if err != nil {
		return nil, err
	}
	if err := c.pull(ctx, src); err != nil {
		return nil, err
	}
	img, err := c.present(ctx, src.name)
	if err != nil {
		return nil, err
	}
	c.log.Info("pulled an image", "image", src.name, "digest", img.Target().Digest, "took", time.Since(begun))
	return img, nil
}

// neverPulled is the error of an image that is missing and is not to be pulled.
func neverPulled(ref string) error {
	return &hint.Error{
		Err:  fmt.Errorf("image %s: it is not on this host, and the file has pull = \"never\"", ref),
		Hint: "bring it: sallyport pull " + ref + "; or change the file",
	}
}

// present returns the image of that name if it is on the host, unpacked. If the image or part of
// its content is missing, the error is errdefs.ErrNotFound.
func (c *Client) present(ctx context.Context, name string) (containerd.Image, error) {
	gctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	record, err := c.named(gctx, name)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	img := c.cached(record)
	return img, c.unpack(ctx, img)
}

// named returns containerd's record of that name. It makes the record again if it was deleted and
// the image is retained.
func (c *Client) named(ctx context.Context, name string) (images.Image, error) {
	record, err := c.client.ImageService().Get(ctx, name)
	if !errdefs.IsNotFound(err) {
		return record, err
	}
	if restored, failed := c.restoreName(ctx, name); !restored || failed != nil {
		return record, cmp.Or(failed, err)
	}
	return c.client.ImageService().Get(ctx, name)
}

// underAnyName returns the image of that digest if the host has it under a name: one that was
// loaded, or that another tag means. It gets this name, too. If there is none, or part of its
// content is missing, the error is errdefs.ErrNotFound.
func (c *Client) underAnyName(ctx context.Context, name string, id digest.Digest) (containerd.Image, error) {
	lctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	records, err := c.client.ImageService().List(lctx, "target.digest=="+strconv.Quote(id.String()))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", name, err)
	}
	for _, r := range records {
		img := c.cached(images.Image{Name: name, Target: r.Target, Labels: map[string]string{sourceLabel: name}})
		if err := c.unpack(ctx, img); err != nil {
			if errdefs.IsNotFound(err) {
				continue
			}
			return nil, err
		}
		return img, c.putImage(ctx, images.Image{Name: name, Target: r.Target, Labels: map[string]string{sourceLabel: name}})
	}
	return nil, fmt.Errorf("image %s: %w", name, errdefs.ErrNotFound)
}

// cached returns a handle on the image. It prefers one that knows its layers already.
func (c *Client) cached(record images.Image) containerd.Image {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	if img := c.images.byName[record.Name]; img != nil && img.Target().Digest == record.Target.Digest {
		return img
	}
	img := containerd.NewImageWithPlatform(c.client, record, platforms.Default())
	if c.images.byName == nil {
		c.images.byName = make(map[string]containerd.Image)
	}
	c.images.byName[record.Name] = img
	return img
}

// unpack makes the image's root filesystem, unless it exists.
func (c *Client) unpack(ctx context.Context, img containerd.Image) error {
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := c.ctx(ctx, unpackTimeout)
	defer cancel()
	done, err := img.IsUnpacked(ctx, snapshotter)
	if err != nil {
		return fmt.Errorf("image %s: %w", img.Name(), err)
	}
	if done {
		return nil
	}
	transferOf(ctx).enter(host.Unpacking)
	if err := img.Unpack(ctx, snapshotter); err != nil {
		return fmt.Errorf("unpack image %s: %w", img.Name(), err)
	}
	return nil
}

// leased puts a lease into ctx, so that nothing written with it is collected until end is called.
// The same id is the same lease. With drop, end also collects what nothing else holds by then,
// before it returns.
func (c *Client) leased(ctx context.Context, id string) (_ context.Context, end func(drop bool), err error) {
	service := c.client.LeasesService()
	lctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	lease, err := service.Create(lctx, leases.WithID(id), leases.WithExpiration(leaseLife))
	if errdefs.IsAlreadyExists(err) {
		lease, err = leases.Lease{ID: id}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("lease %s: %w", id, err)
	}
	return leases.WithLease(ctx, id), func(drop bool) {
		ctx, cancel := c.ctx(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		var opts []leases.DeleteOpt
		if drop {
			opts = append(opts, leases.SynchronousDelete)
		}
		if err := service.Delete(ctx, lease, opts...); err != nil && !errdefs.IsNotFound(err) {
			c.log.Warn("a lease stays until it expires", "lease", id, "error", err)
		}
	}, nil
}

// image returns containerd's image for what Image or Restore returned, for the host's platform.
func (c *Client) image(ctx context.Context, img host.Image) (containerd.Image, error) {
	c.images.mu.Lock()
	known := c.images.byName[img.Name]
	c.images.mu.Unlock()
	if known != nil && known.Target().Digest.String() == img.Digest {
		return known, nil
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	record, err := c.named(ctx, img.Name)
	if errdefs.IsNotFound(err) || err == nil && record.Target.Digest.String() != img.Digest { // retained without a name
		record, err = c.nameless(ctx, img.Name, digest.Digest(img.Digest))
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", img.Name, err)
	}
	return c.cached(record), nil
}
