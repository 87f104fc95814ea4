package ctrd

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Images are loaded from a docker archive and from an OCI folder whose index names other platforms.
// A group file uses them without a registry, by name and by the digest that the registry has. A
// load that is cut off names none of them and leaves no content.
func TestRootLoadedImages(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		dir := t.TempDir()
		if err := os.MkdirAll(c.cfg.Layout.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		never := host.WithPull(t.Context(), spec.PullNever)
		img := ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec()}, layerOf(t, "one", mib))
		foreign := ctrdtest.Build(t, ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "mips64le"}}, layerOf(t, "two", 10))

		inner := ctrdtest.JSON(t, ctrdtest.Index(foreign, img))
		root := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(inner), Size: int64(len(inner)), Annotations: map[string]string{images.AnnotationImageName: "app.example/app:1"}}
		folder := filepath.Join(dir, "layout")
		for _, f := range append(ctrdtest.OCIFiles(t, ocispec.Index{Manifests: []ocispec.Descriptor{root}}, img),
			ctrdtest.File{Name: "blobs/sha256/" + root.Digest.Encoded(), Body: inner}) {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, f.Name)), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(folder, f.Name), f.Body)
		}
		if _, err := c.Image(never, "app.example/app:1"); err == nil || !strings.Contains(err.Error(), `pull = "never"`) {
			t.Errorf("before the load: %v", err)
		}
		loaded, err := c.LoadImages(t.Context(), host.LoadRequest{Path: folder})
		want := host.LoadedImages{Images: []host.LoadedImage{{Image: "app.example/app:1", Digest: root.Digest.String()}}}
		if diff := cmp.Diff(want, loaded); diff != "" || err != nil {
			t.Fatalf("%v (-want +got)\n%s", err, diff)
		}
		if err := c.CollectImages(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := c.blobs(t, c.cfg.Layout.Namespace, img); n != 3 {
			t.Errorf("%d of its blobs are left after a collection", n)
		}
		for _, ref := range []string{"app.example/app:1", "app.example/app@" + root.Digest.String()} {
			if got, err := c.Image(never, ref); err != nil || got.Digest != root.Digest.String() {
				t.Errorf("%s: %v, %v", ref, got, err)
			}
		}
		if got, err := c.Restore(never, "elsewhere.example/app:2", root.Digest.String()); err != nil || got.Digest != root.Digest.String() {
			t.Errorf("by its digest alone: %v, %v", got, err)
		}

		path := filepath.Join(dir, "docker.tar")
		ctrdtest.WriteDocker(t, path, ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec()}, layerOf(t, "three", mib)), "app.example/app:1", "other:1")
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		loaded, err = c.LoadImages(t.Context(), host.LoadRequest{Content: f})
		if err != nil || len(loaded.Images) != 2 || loaded.Images[0].Before != root.Digest.String() || loaded.Images[1].Image != "docker.io/library/other:1" {
			t.Fatalf("%+v, %v", loaded, err)
		}
		if got, err := c.Image(never, "other:1"); err != nil || got.Digest != loaded.Images[0].Digest {
			t.Errorf("%v, %v", got, err)
		}
		_, all := c.mustImages(t)
		if kept := all[loaded.Images[0].Digest].Kept; kept != host.KeptByHand {
			t.Errorf("a loaded image that no group has used is kept as %q", kept)
		}

		cut := ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec()}, layerOf(t, "four", mib))
		path = filepath.Join(dir, "cut.tar")
		ctrdtest.WriteOCI(t, path, cut)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stop := func(tr host.Transfer) {
			if tr.Done > 0 {
				cancel()
			}
		}
		if _, err := c.LoadImages(host.WithTransfers(ctx, stop), host.LoadRequest{Path: path}); err == nil {
			t.Log("it was loaded before it could be cut off")
		} else if _, all := c.mustImages(t); all[cut.Manifest.Digest.String()].Digest != "" {
			t.Errorf("half an image has a name: %+v", all[cut.Manifest.Digest.String()])
		}
		lctx, end := c.ctx(t.Context(), callTimeout)
		defer end()
		held, err := c.client.LeasesService().List(lctx)
		for _, l := range held {
			if strings.HasPrefix(l.ID, "sallyport-load-") {
				t.Errorf("a lease is left: %s", l.ID)
			}
		}
		if err != nil {
			t.Error(err)
		}
		if _, err := c.LoadImages(t.Context(), host.LoadRequest{Content: io.LimitReader(strings.NewReader("x"), 1)}); err == nil {
			t.Error("a stream that is no archive was loaded")
		}
	})
}
