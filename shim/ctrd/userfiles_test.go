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

	"github.com/containerd/containerd/v2/core/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Most root file systems are known by a look into their layers to have no pipe for users.
func TestMayHavePipe(t *testing.T) {
	layer := func(make ...func(dir string) error) string {
		dir := t.TempDir()
		for _, f := range make {
			if err := f(dir); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	etc := func(dir string) error { return os.Mkdir(filepath.Join(dir, "etc"), 0o755) }
	file := func(dir string) error { return os.WriteFile(filepath.Join(dir, "etc/passwd"), nil, 0o644) }
	pipe := func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "etc/passwd"), 0o644) }
	link := func(dir string) error { return os.Symlink("/pipe", filepath.Join(dir, "etc/group")) }
	linked := func(dir string) error { return os.Symlink("/other", filepath.Join(dir, "etc")) }
	overlay := func(layers ...string) []mount.Mount {
		return []mount.Mount{{Type: "overlay", Options: []string{"upperdir=/u", "lowerdir=" + strings.Join(layers, ":")}}}
	}
	for _, tt := range []struct {
		name   string
		rootfs []mount.Mount
		want   bool
	}{
		{"a file", overlay(layer(), layer(etc, file)), false},
		{"nothing", overlay(layer()), false},
		{"a pipe", overlay(layer(), layer(etc, pipe)), true},
		{"a link", overlay(layer(etc, file), layer(etc, link)), true},
		{"a link instead of the folder", overlay(layer(linked)), true},
		{"another snapshotter", []mount.Mount{{Type: "bind"}}, true},
		{"no layers", []mount.Mount{{Type: "overlay"}}, true},
	} {
		if got := mayHavePipe(tt.rootfs, userFiles[:]); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A container whose runtime would wait at a named pipe for ever is not made, and nothing is left of
// it. The control: with a file in the place of the pipe it runs.
func TestRootUserFilesThatArePipes(t *testing.T) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "etc/passwd", Typeflag: tar.TypeFifo, Mode: 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}}
	cfg.Config.Env = []string{"PATH=/bin"}
	path := filepath.Join(t.TempDir(), "pipe.tar")
	ctrdtest.WriteOCI(t, path, ctrdtest.Build(t, cfg, busyboxImage(t).Layers[0], layer.Bytes()))
	eachServer(t, func(t *testing.T, c *Client) {
		image, volume := script("image", spec.App, "exit 3"), script("volume", spec.App, "exit 3")
		volume.Mounts = []spec.Mount{{Volume: "etc", Path: "/etc"}}
		r := newHarness(t, c, path, image, volume)
		r.group.Volumes = []spec.Volume{{Name: "etc"}}
		etc := c.cfg.Layout.VolumePath("g", "etc")
		if err := errors.Join(os.MkdirAll(etc, 0o755), unix.Mkfifo(filepath.Join(etc, "group"), 0o644)); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"image": "the image has at /etc/passwd not a regular file", "volume": "volume etc has at /etc/group not a regular file"} {
			err := c.Create(t.Context(), r.request(name))
			if !errors.Is(err, host.ErrUserFile) || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left := r.states("g"); len(left) > 0 {
			t.Errorf("left: %+v", left)
		}
		r.group.Containers[0].Files = []spec.File{{Path: "/etc/passwd", Content: []byte("root:x:0:0::/:/bin/sh\n")}}
		if err := os.Remove(filepath.Join(etc, "group")); err != nil {
			t.Fatal(err)
		}
		r.run()
		for _, name := range []string{"image", "volume"} {
			if _, s := r.ended(name); s.ExitStatus != 3 {
				t.Errorf("control: %s ended with status %d", name, s.ExitStatus)
			}
		}
		r.removeAll()
	})
}
