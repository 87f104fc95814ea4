package ctrd

import (
	"os"
	"strconv"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// unname removes every name of containerd's images, as a prune does. Then containerd collects
// everything without a reference.
func (c *Client) unname(t *testing.T) {
	t.Helper()
	ctx, cancel := c.ctx(t.Context(), callTimeout)
	defer cancel()
	all, err := c.client.ImageService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if err := c.client.ImageService().Delete(ctx, i.Name, images.SynchronousDelete()); err != nil {
			t.Fatal(err)
		}
	}
	c.forget()
	c.collect(t)
}

// here reports whether the content of an image is on the host.
func (c *Client) here(t *testing.T, img host.Image) bool {
	t.Helper()
	ctx, cancel := c.ctx(t.Context(), callTimeout)
	defer cancel()
	_, err := c.client.ContentStore().Info(ctx, digest.Digest(img.Digest))
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

func (c *Client) mustHold(t *testing.T, group string, generation int, img host.Image) {
	t.Helper()
	for range 2 {
		if err := c.Retain(t.Context(), group, generation, host.Image{Ref: img.Ref, Digest: img.Digest}); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *Client) mustRelease(t *testing.T, group string, generation int) {
	t.Helper()
	for range 2 {
		if err := c.Release(t.Context(), group, generation); err != nil {
			t.Fatal(err)
		}
	}
}

func expectHeld(t *testing.T, c *Client, want map[string][]int) {
	t.Helper()
	got, err := c.Retained(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("retained (-want +got), error %v:\n%s", err, diff)
	}
}

func TestRootRetainedImagesOutliveTheirNames(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		registry := startRegistry(t)
		push(t, registry, "busybox", "1", busyboxImage(t))
		pushIndex(t, registry, "multi", "1", busyboxImage(t, withEnv("MULTI=1")))
		push(t, registry, "other", "1", busyboxImage(t, withEnv("OTHER=1")))
		held := []host.Image{mustImage(t, c, registry+"/busybox:1"), mustImage(t, c, registry+"/multi:1")}
		other := mustImage(t, c, registry+"/other:1")
		for _, img := range held {
			c.mustHold(t, "shop", 1, img)
			c.mustHold(t, "shop", 2, img)
		}
		expectHeld(t, c, map[string][]int{"shop": {1, 2}})

		c.mustRelease(t, "shop", 1)
		c.unname(t)
		if c.here(t, other) {
			t.Error("an image that is not retained was not collected, so this test can't fail")
		}
		// The tags have another meaning by now, and the registry would answer with that.
		push(t, registry, "busybox", "1", busyboxImage(t, withEnv("MOVED=1")))
		pushIndex(t, registry, "multi", "1", busyboxImage(t, withEnv("MOVED=1")))
		for _, img := range held {
			if again := mustImage(t, c, img.Ref); again != img {
				t.Errorf("again %+v, before %+v", again, img)
			}
			checkUsable(t, c, img)
		}

		c.unname(t)
		c.mustRelease(t, "shop", 2)
		expectHeld(t, c, map[string][]int{})
		c.unname(t)
		for _, img := range held {
			if c.here(t, img) {
				t.Errorf("%s is still here although nothing retains it", img.Ref)
			}
		}
		if again := mustImage(t, c, held[0].Ref); again.Digest == held[0].Digest {
			t.Error("the moved tag is not seen once the image is gone, so that this test can't fail")
		}
	})
}

// A daemon is killed between the calls that retain an image. The next daemon knows of the part that
// is there. It can release it, and it can complete it.
func TestRootARetentionThatWasCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		registry := startRegistry(t)
		push(t, registry, "busybox", "1", busyboxImage(t))
		img := mustImage(t, c, registry+"/busybox:1")
		ctx, cancel := c.ctx(t.Context(), callTimeout)
		defer cancel()
		service := c.client.LeasesService()
		for _, generation := range []int{1, 2} {
			lease, err := service.Create(ctx, leases.WithID(leaseID("shop", generation)), leases.WithLabels(map[string]string{
				labelGroup: "shop", labelGeneration: strconv.Itoa(generation),
			}))
			if err == nil && generation == 2 {
				err = service.AddResource(ctx, lease, leases.Resource{ID: img.Digest, Type: "content"})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		expectHeld(t, c, map[string][]int{"shop": {1, 2}})
		c.mustRelease(t, "shop", 2)
		c.mustHold(t, "shop", 1, img)
		c.unname(t)
		if again := mustImage(t, c, img.Ref); again != img {
			t.Errorf("again %+v, before %+v", again, img)
		}
		checkUsable(t, c, img)
		c.mustRelease(t, "shop", 1)
		expectHeld(t, c, map[string][]int{})
	})
}

func TestRootARetainedImageNeedsNoArchive(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		path := busyboxArchive(t)
		img := mustImage(t, c, archive.OCIPrefix+path)
		c.mustHold(t, "g", 1, img)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		c.unname(t)

		app := script("app", spec.App, "echo runs")
		r := newHarness(t, c, path, app)
		if r.image.Digest != img.Digest {
			t.Errorf("%+v, before %+v", r.image, img)
		}
		r.run()
		r.says("app", "runs\n") // the shim may write it after the end
		c.mustRelease(t, "g", 1)
	})
}
