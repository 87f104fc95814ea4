package ctrd

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestRootArchiveImages(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		t.Run("imported once", func(t *testing.T) {
			path := busyboxArchive(t)
			img := mustImage(t, c, archive.OCIPrefix+path)
			checkUsable(t, c, img)
			if again := mustImage(t, c, archive.OCIPrefix+path); again != img {
				t.Errorf("second time %+v, first %+v", again, img)
			}
			if !strings.HasPrefix(img.Name, "sallyport.local/archive@sha256:") || !strings.HasSuffix(img.Name, img.Digest) {
				t.Errorf("name %q, digest %q", img.Name, img.Digest)
			}
		})
		t.Run("same image at another path", func(t *testing.T) {
			a, b := busyboxArchive(t), busyboxArchive(t)
			if x, y := mustImage(t, c, archive.OCIPrefix+a), mustImage(t, c, archive.OCIPrefix+b); x.Name != y.Name || x.Digest != y.Digest {
				t.Errorf("%+v and %+v", x, y)
			}
		})
		t.Run("changed at the same path", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("V=1")))
			first := mustImage(t, c, archive.OCIPrefix+path)
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("V=2")))
			second := mustImage(t, c, archive.OCIPrefix+path)
			if first.Digest == second.Digest {
				t.Errorf("both have digest %s", first.Digest)
			}
			checkUsable(t, c, first)
			checkUsable(t, c, second)
		})
		t.Run("gone but imported before", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("GONE=1")))
			before := mustImage(t, c, archive.OCIPrefix+path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			c.forget()
			if after := mustImage(t, c, archive.OCIPrefix+path); after != before {
				t.Errorf("after %+v, before %+v", after, before)
			}
		})
		t.Run("docker archive", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d.tar")
			ctrdtest.WriteDocker(t, path, busyboxImage(t, withEnv("D=1")), "busybox:1")
			checkUsable(t, c, mustImage(t, c, archive.DockerPrefix+path))
		})
		t.Run("of every kind", func(t *testing.T) {
			if err := os.MkdirAll(c.cfg.Layout.StateDir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, kind := range map[string]string{"zstd.tar": archive.DockerPrefix, "docker.tar.gz": archive.DockerPrefix, "plain.tar.zst": archive.OCIPrefix, "folder": archive.OCIFolderPrefix} {
				img := busyboxImage(t, withEnv("KIND="+name))
				path := filepath.Join(t.TempDir(), name)
				writeKind(t, path, img)
				checkUsable(t, c, mustImage(t, c, kind+path+":app:1"))
			}
		})
		t.Run("several callers", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s.tar")
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("S=1")))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					if _, err := c.Image(t.Context(), archive.OCIPrefix+path); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
		t.Run("content taken away behind our back", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.tar")
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("C=1")))
			img := mustImage(t, c, archive.OCIPrefix+path)
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			defer cancel()
			if err := c.client.ImageService().Delete(ctx, img.Name); err != nil {
				t.Fatal(err)
			}
			checkUsable(t, c, mustImage(t, c, archive.OCIPrefix+path))
		})
	})
}

// writeKind writes an image in the way that the end of the path names. Some layers are compressed
// with zstd, under names and media types of others.
func writeKind(t *testing.T, path string, img ctrdtest.Image) {
	t.Helper()
	layer := ctrdtest.CompressZstd(t, img.Layers[0])
	switch filepath.Base(path) {
	case "zstd.tar":
		ctrdtest.WriteDocker(t, path, ctrdtest.Image{Config: img.Config, Layers: [][]byte{layer}}, "app:1")
	case "docker.tar.gz":
		ctrdtest.WriteDocker(t, path, img, "other:1", "app:1")
		writeFile(t, path, ctrdtest.Compress(t, readFile(t, path)))
	case "plain.tar.zst":
		said := ctrdtest.Retyped(t, img, ocispec.MediaTypeImageLayer, layer)
		said.Manifest.Annotations = map[string]string{ocispec.AnnotationRefName: "app:1"}
		ctrdtest.WriteOCI(t, path, said)
		writeFile(t, path, ctrdtest.CompressZstd(t, readFile(t, path)))
	case "folder":
		said := ctrdtest.Retyped(t, img, ocispec.MediaTypeImageLayerGzip, layer)
		said.Manifest.Annotations = map[string]string{ocispec.AnnotationRefName: "app:1"}
		other := busyboxImage(t, withEnv("OTHER=1"))
		for _, f := range ctrdtest.OCIFiles(t, ctrdtest.Index(other, said), said) {
			name := filepath.Join(path, f.Name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, name, f.Body)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRootArchiveLeavesNothingHalfDone(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		img := busyboxImage(t)
		dir := t.TempDir()
		whole := filepath.Join(dir, "whole.tar")
		ctrdtest.WriteOCI(t, whole, img)
		b, err := os.ReadFile(whole)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(dir, "cut.tar")
		writeFile(t, cut, b[:len(b)/2])
		checkProblem(t, c, archive.OCIPrefix+cut, "is cut short: blob sha256:")

		flipped := filepath.Join(dir, "flipped.tar")
		bad := busyboxImage(t)
		for _, l := range bad.LayerBlobs(t) {
			l[len(l)/2] ^= 0xff
		}
		ctrdtest.WriteOCI(t, flipped, bad)
		checkProblem(t, c, archive.OCIPrefix+flipped, "is damaged: blob sha256:")

		ctx, cancel := c.ctx(t.Context(), callTimeout)
		defer cancel()
		if left, err := c.client.ImageService().List(ctx); err != nil || len(left) != 0 {
			t.Errorf("images left: %v, %v", left, err)
		}
		err = c.client.ContentStore().Walk(ctx, func(i content.Info) error {
			t.Errorf("content left: %s", i.Digest)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if left, err := c.client.ContentStore().ListStatuses(ctx); err != nil || len(left) != 0 {
			t.Errorf("ingests left: %v, %v", left, err)
		}
		if left, err := c.client.LeasesService().List(ctx); err != nil || len(left) != 0 {
			t.Errorf("leases left: %v, %v", left, err)
		}
		checkUsable(t, c, mustImage(t, c, archive.OCIPrefix+whole))
	})
}

func TestRootImageProblems(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		checkProblem(t, c, "oci-archive:/no/such.tar", "archive /no/such.tar: no such file or directory")
		checkProblem(t, c, "docker-archive:"+t.TempDir(), "it is a folder")
		checkProblem(t, c, "Not A Ref", "invalid reference format")
	})
}

func TestImageWithoutContainerd(t *testing.T) {
	c, err := New(Config{Address: filepath.Join(t.TempDir(), "none.sock"), Layout: layout.Layout{Namespace: "sallyport"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	checkProblem(t, c, "127.0.0.1:1/busybox:1", "doesn't answer")
	var p *hint.Error
	if _, err := c.Version(t.Context()); !errors.As(err, &p) {
		t.Errorf("version: %v", err)
	}
}

// mustImage makes an image present.
func mustImage(t *testing.T, c *Client, ref string) host.Image {
	t.Helper()
	img, err := c.Image(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if img.Ref != ref {
		t.Errorf("ref %q, want %q", img.Ref, ref)
	}
	return img
}

// checkUsable checks that an image is present, unpacked, and labelled with its source, before and
// after a garbage collection.
func checkUsable(t *testing.T, c *Client, img host.Image) {
	t.Helper()
	c.forget()
	c.collect(t)
	ctx, cancel := c.ctx(t.Context(), callTimeout)
	defer cancel()
	i, err := c.image(ctx, img)
	if err != nil {
		t.Fatal(err)
	}
	sn, err := c.snapshotter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := i.IsUnpacked(ctx, sn); !ok || err != nil {
		t.Errorf("unpacked %v, %v", ok, err)
	}
	if i.Labels()[sourceLabel] == "" {
		t.Errorf("labels %v", i.Labels())
	}
	cfg, _, err := c.imageConfig(ctx, i)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Architecture != runtime.GOARCH || len(cfg.Config.Cmd) == 0 {
		t.Errorf("config %+v", cfg)
	}
}

// checkProblem expects an error with this text and a hint.
func checkProblem(t *testing.T, c *Client, ref, text string) {
	t.Helper()
	_, err := c.Image(t.Context(), ref)
	var p *hint.Error
	if !errors.As(err, &p) {
		t.Errorf("%s: %v, want a problem with %q", ref, err, text)
		return
	}
	if !strings.Contains(p.Error(), text) || p.Hint == "" {
		t.Errorf("%s: %q, hint %q; want %q and a hint", ref, p.Error(), p.Hint, text)
	}
}

// forget makes the client as new as after a restart of the daemon.
func (c *Client) forget() {
	c.images.mu.Lock()
	defer c.images.mu.Unlock()
	c.images.byName = nil
}

// collect makes containerd collect everything without a reference, now.
func (c *Client) collect(t *testing.T) {
	t.Helper()
	ctx, cancel := c.ctx(t.Context(), callTimeout)
	defer cancel()
	_, end, err := c.leased(ctx, "test-collect")
	if err != nil {
		t.Fatal(err)
	}
	end(true)
}

func withEnv(kv string) func(*ocispec.Image) {
	return func(i *ocispec.Image) { i.Config.Env = append(i.Config.Env, kv) }
}
