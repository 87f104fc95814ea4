package ctrd

import (
	"errors"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// pullAnew gives a name the meaning that its tag has in the registry by now. An operator does the
// same by pulling it.
func (c *Client) pullAnew(t *testing.T, ref string) host.Image {
	t.Helper()
	src, err := parseSource(ref)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := c.ctx(t.Context(), 0)
	defer cancel()
	if err := c.pull(ctx, src); err != nil {
		t.Fatal(err)
	}
	return mustImage(t, c, ref)
}

func mustRestore(t *testing.T, c *Client, img host.Image) host.Image {
	t.Helper()
	c.forget()
	again, err := c.Restore(t.Context(), img.Ref, img.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if again.Ref != img.Ref || again.Digest != img.Digest {
		t.Errorf("restored %+v, want %+v", again, img)
	}
	checkUsable(t, c, again)
	return again
}

func expectMeans(t *testing.T, c *Client, ref, want string) {
	t.Helper()
	if got, err := c.Resolve(t.Context(), ref); got != want || err != nil {
		t.Errorf("%s means %q, error %v; want %q", ref, got, err, want)
	}
}

func TestRootAMovedTagIsRestoredByItsDigest(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		registry := startRegistry(t)
		push(t, registry, "one", "1", busyboxImage(t))
		pushIndex(t, registry, "multi", "1", busyboxImage(t, withEnv("MULTI=1")))
		for _, name := range []string{"one", "multi"} {
			ref := registry + "/" + name + ":1"
			expectMeans(t, c, ref, "")
			old := mustImage(t, c, ref)
			expectMeans(t, c, ref, old.Digest)
			c.mustHold(t, "shop", 1, old)
			if again := mustRestore(t, c, old); again.Name != old.Name {
				t.Errorf("before the tag has moved it is called %q, want %q", again.Name, old.Name)
			}
			push(t, registry, name, "1", busyboxImage(t, withEnv("MOVED="+name)))
			moved := c.pullAnew(t, ref)
			if moved.Digest == old.Digest {
				t.Fatal("the tag has not moved, so that this test can't fail")
			}
			expectMeans(t, c, ref, moved.Digest)
			c.mustHold(t, "shop", 2, moved)
			c.collect(t)

			mustRestore(t, c, old)
			mustRestore(t, c, moved)
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			err := c.client.ImageService().Delete(ctx, moved.Name, images.SynchronousDelete())
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			mustRestore(t, c, old)
			if now := mustImage(t, c, ref); now.Digest != moved.Digest {
				t.Errorf("restoring the earlier image has changed what %s means: %+v", ref, now)
			}

			// An image that is not retained is pulled by its digest, which the registry still has.
			c.mustRelease(t, "shop", 1)
			c.collect(t)
			if c.here(t, old) {
				t.Error("an image that is not retained was not collected, so this test can't fail")
			}
			if again := mustRestore(t, c, old); again.Name != registry+"/"+name+"@"+old.Digest {
				t.Errorf("pulled by its digest it is called %q", again.Name)
			}
			c.mustRelease(t, "shop", 2)
		}
	})
}

// An image whose tag has moved is pulled by its digest. Once it is retained it needs no registry,
// even if its name is pruned.
func TestRootAnImageThatWasPulledByItsDigestOutlivesItsName(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		registry := startRegistry(t)
		link := httptest.NewServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry}))
		defer link.Close()
		ref := link.Listener.Addr().String() + "/one:1"
		push(t, registry, "one", "1", busyboxImage(t))
		old := mustImage(t, c, ref)
		push(t, registry, "one", "1", busyboxImage(t, withEnv("MOVED=1")))
		c.pullAnew(t, ref)
		c.collect(t)
		if c.here(t, old) {
			t.Fatal("it need not be pulled by its digest, so that this test can't fail")
		}
		again := mustRestore(t, c, old)
		c.mustHold(t, "shop", 1, again)
		link.Close()
		c.unname(t)
		mustRestore(t, c, old)
		c.mustRelease(t, "shop", 1)
		c.unname(t)
		if c.here(t, old) {
			t.Error("it is still here although nothing retains it")
		}
	})
}

// If an image can't be had again, the hint would help. A registry that is away has another hint
// than one that lost the image.
func TestRootAnImageThatCantBeRestored(t *testing.T) {
	const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	eachServer(t, func(t *testing.T, c *Client) {
		away := httptest.NewServer(nil)
		away.Close()
		for _, tt := range []struct {
			name, host string
			gone       bool
			want, hint string
		}{
			{"a registry that is away", away.Listener.Addr().String(), false, " can't be reached", "check its name and the link"},
			{"a registry that has it no more", startRegistry(t), true, sum + " is not on this host any more: ", "apply the file again"},
		} {
			_, err := c.Restore(t.Context(), tt.host+"/one:1", sum)
			problem, ok := errors.AsType[*hint.Error](err)
			if !ok || errors.Is(err, host.ErrImageGone) != tt.gone || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(problem.Hint, tt.hint) {
				t.Errorf("%s: %v (%+v)", tt.name, err, problem)
			}
		}
	})
}

func TestRootAReplacedArchiveIsRestoredByItsDigest(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		path := filepath.Join(t.TempDir(), "a.tar")
		write := func(version string) host.Image {
			ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("VERSION="+version)))
			means, err := c.Resolve(t.Context(), archive.OCIPrefix+path)
			if err != nil {
				t.Fatal(err)
			}
			img := mustImage(t, c, archive.OCIPrefix+path)
			if means != img.Digest {
				t.Errorf("it was said to be %s, and is %s", means, img.Digest)
			}
			expectMeans(t, c, img.Ref, img.Digest)
			return img
		}
		first := write("1")
		c.mustHold(t, "g", 1, first)
		if second := write("2"); second.Digest == first.Digest {
			t.Fatal("it is the same image, so that this test can't fail")
		}
		c.unname(t)

		app := script("app", spec.App, "echo $VERSION")
		r := newHarness(t, c, path, app)
		r.image = mustRestore(t, c, first)
		c.forget() // a daemon that begins in between
		r.run()
		r.says("app", "1\n") // the shim may write it after the end
		r.removeAll()

		c.mustRelease(t, "g", 1)
		c.unname(t)
		_, err := c.Restore(t.Context(), first.Ref, first.Digest)
		problem, ok := errors.AsType[*hint.Error](err)
		if !ok || !strings.Contains(err.Error(), "image "+first.Ref+": "+first.Digest+" is not on this host any more: archive "+path+" has another image by now") ||
			!errors.Is(err, host.ErrImageGone) || !strings.HasPrefix(problem.Hint, "put back the archive that had it, or apply the file again") {
			t.Errorf("once it is gone: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		ctrdtest.WriteOCI(t, path, busyboxImage(t, withEnv("VERSION=1")))
		mustRestore(t, c, first)
	})
}
