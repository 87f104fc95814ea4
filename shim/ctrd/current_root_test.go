package ctrd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// The digest that a lock file gets is that of the index. When the tag has moved, the locked image
// is pulled all the same. When the registry is gone, the image on the host is used.
func TestRootLockedImages(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		dir := t.TempDir()
		build := func(name string) ctrdtest.Image {
			return ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec()}, layerOf(t, name, 1000))
		}
		foreign := ctrdtest.Build(t, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "mips64le"}}, layerOf(t, "x", 10))
		old, moved := build("old"), build("moved")
		registry := runRegistry(t, dir, "", "")
		pushIndex(t, registry, "app", "1", foreign, old)
		ref := registry + "/app:1"
		locked, err := c.CurrentDigest(t.Context(), ref)
		if want := digest.FromBytes(ctrdtest.JSON(t, ctrdtest.Index(foreign, old))).String(); err != nil || locked != want {
			t.Fatalf("%s, %v; want the index, %s", locked, err, want)
		}
		pushIndex(t, registry, "app", "1", foreign, moved)
		if now, err := c.CurrentDigest(t.Context(), ref); err != nil || now == locked {
			t.Fatalf("the tag has not moved: %s, %v", now, err)
		}
		if img, err := c.Restore(t.Context(), ref, locked); err != nil || img.Digest != locked {
			t.Errorf("locked, after the tag has moved: %v, %v", img, err)
		}
		gone := "127.0.0.1:9/app:1"
		if _, err := c.CurrentDigest(t.Context(), gone); err == nil {
			t.Error("a registry that is gone has answered")
		}
		if img, err := c.Restore(host.WithPull(t.Context(), spec.PullNever), gone, locked); err != nil || img.Digest != locked {
			t.Errorf("locked, and on the host: %v, %v", img, err)
		}

		path := filepath.Join(dir, "foreign.tar")
		ctrdtest.WriteOCI(t, path, foreign)
		if got, err := c.CurrentDigest(t.Context(), archive.OCIPrefix+path); err != nil || got != foreign.Manifest.Digest.String() {
			t.Errorf("an archive for another machine: %s, %v", got, err)
		}
		if _, err := c.CurrentDigest(t.Context(), archive.OCIPrefix+path+".gone"); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("an archive that is not there: %v", err)
		}
	})
}
