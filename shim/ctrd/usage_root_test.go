package ctrd

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A layer that two images have is counted once, packed and unpacked. Each image has its users, and
// one whose container runs is counted also after its names were deleted.
func TestRootImages(t *testing.T) {
	base := ctrdtest.Tar(t, []ctrdtest.File{{Name: "base", Mode: 0o644, Body: slices.Repeat([]byte("b"), 1<<20)}})
	top := ctrdtest.Tar(t, []ctrdtest.File{{Name: "top", Mode: 0o644, Body: slices.Repeat([]byte("t"), 2<<20)}})
	eachServer(t, func(t *testing.T, c *Client) {
		dir := t.TempDir()
		load := func(name string, layers ...[]byte) host.Image {
			path := filepath.Join(dir, name+".tar")
			ctrdtest.WriteOCI(t, path, ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec()}, layers...))
			img, err := c.Image(t.Context(), archive.OCIPrefix+path)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
		small, large := load("small", base), load("large", base, top)
		r := newHarness(t, c, busyboxArchive(t), script("web", spec.App, "sleep 1000"))
		c.mustHold(t, "shop", 3, large)
		r.run()

		find := func() map[string]host.ImageUsage {
			t.Helper()
			found, err := c.Images(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !filepath.IsAbs(found.Path) || !strings.HasPrefix(found.Remove, "ctr --address /") {
				t.Errorf("path %q, remove with %q", found.Path, found.Remove)
			}
			const mib = 1 << 20
			if found.Shared < mib || found.Shared > mib+mib/2 {
				t.Errorf("shared are %d bytes, want those of the layer with 1 MiB", found.Shared)
			}
			byDigest := map[string]host.ImageUsage{}
			for _, i := range found.All {
				byDigest[i.Digest] = i
			}
			return byDigest
		}
		all := find()
		if i := all[small.Digest]; i.Own > 64<<10 || i.Common < 1<<20 || len(i.Groups) > 0 || i.Names[0] != small.Ref {
			t.Errorf("the small image %+v", i)
		}
		if i := all[large.Digest]; i.Own < 2<<20 || i.Own > 3<<20 || i.Common != all[small.Digest].Common || !slices.Equal(i.Groups, []string{"shop"}) {
			t.Errorf("the large image %+v", i)
		}
		if i := all[r.image.Digest]; i.Common > 0 || !slices.Equal(i.Groups, []string{"g"}) {
			t.Errorf("the image of a container %+v", i)
		}

		// What a generation retains needs no name, and what the hint deletes is gone.
		for _, name := range append(slices.Clone(all[small.Digest].Names), all[large.Digest].Names...) {
			if err := c.client.ImageService().Delete(r.ctx(), name, images.SynchronousDelete()); err != nil {
				t.Fatal(err)
			}
		}
		found, err := c.Images(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(found.All, func(i host.ImageUsage) bool { return i.Digest == large.Digest })
		if len(found.All) != 2 || i < 0 || found.All[i].Own < 3<<20 || found.Shared > 0 || !slices.Contains(found.All[i].Names, large.Ref) {
			t.Errorf("without names: %+v", found)
		}
	})
}
