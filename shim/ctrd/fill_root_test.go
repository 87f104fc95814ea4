package ctrd

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// fillLayer has a folder of the user 1000, to which /var/data leads, and one of 1 MiB.
func fillLayer(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "srv/data/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 1000, Gid: 2000},
		{Name: "srv/data/tool", Typeflag: tar.TypeReg, Mode: 0o4711, Uid: 1000, Gid: 2000, Size: 5},
		{Name: "srv/data/same", Typeflag: tar.TypeLink, Linkname: "srv/data/tool", Mode: 0o4711, Uid: 1000, Gid: 2000},
		{Name: "srv/data/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
		{Name: "srv/data/out", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"},
		{Name: "var/data", Typeflag: tar.TypeSymlink, Linkname: "/srv/data"},
		{Name: "big/file", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1 << 20},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An empty volume gets what the image has at the mount's path, and one with a file stays as it is.
// A volume that is too small stays empty, and its container isn't made.
func TestRootFillVolume(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		base := busyboxImage(t)
		path := filepath.Join(t.TempDir(), "filled.tar")
		cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
		cfg.Config.Env = []string{"PATH=/bin"}
		ctrdtest.WriteOCI(t, path, ctrdtest.Build(t, cfg, base.Layers[0], fillLayer(t)))

		web := script("web", spec.App, "cd /var/data; stat -c %n:%u:%g:%a:%h . *; cat same 2>/dev/null; echo; rm -f *; touch mine; echo ready")
		web.Mounts = []spec.Mount{{Volume: "data", Path: "/var/data", FromImage: true}}
		full := script("full", spec.App, "true")
		full.Mounts = []spec.Mount{{Volume: "small", Path: "/big", FromImage: true}}
		absent := script("absent", spec.App, "true")
		absent.Mounts = []spec.Mount{{Volume: "other", Path: "/nowhere", FromImage: true}}
		r := newHarness(t, c, path, web, full, absent)
		r.group.Volumes = []spec.Volume{{Name: "data"}, {Name: "small"}, {Name: "other", Owner: "7:7"}}
		if err := os.MkdirAll(c.cfg.Layout.VolumePath("g", "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), r.request("web")); err == nil || !strings.Contains(err.Error(), "not mounted") {
			t.Fatalf("in a folder that is not mounted: %v", err)
		}
		for _, v := range r.group.Volumes {
			at := c.cfg.Layout.VolumePath("g", v.Name)
			if err := os.MkdirAll(at, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=64k,mode=1777"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
		}
		for _, tt := range []struct{ name, volume, text string }{
			{"full", "small", "no space left on device"}, {"absent", "other", "the image has no folder /nowhere"},
		} {
			err := c.Create(t.Context(), r.request(tt.name))
			if err == nil || !strings.Contains(err.Error(), tt.text) || hint.Of(err) == "" {
				t.Errorf("%s: %v", tt.name, err)
			}
			if left, err := os.ReadDir(c.cfg.Layout.VolumePath("g", tt.volume)); len(left) > 0 || err != nil {
				t.Errorf("%s: the volume has %v, %v", tt.name, left, err)
			}
		}
		r.group.Containers = r.group.Containers[:1]
		for _, want := range []string{
			".:1000:2000:750:2\nout:0:0:777:1\nsame:1000:2000:4711:2\ntool:1000:2000:4711:2\nxxxxx\nready\n",
			".:1000:2000:750:2\nmine:0:0:644:1\n\nready\n",
		} {
			r.run()
			out, state := r.ended("web")
			if !strings.HasSuffix(out, want) {
				t.Errorf("printed %q, want %q (%+v)", out, want, state)
			}
			if err := errors.Join(c.Remove(t.Context(), "g", "web"), os.Remove(c.cfg.Layout.LogPath("g", "web"))); err != nil {
				t.Fatal(err)
			}
		}
	})
}
