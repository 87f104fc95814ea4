package disks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, make([]byte, size), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "f"), 64<<10)
	write(t, filepath.Join(dir, "b", "g"), 64<<10)
	if err := os.Symlink("/", filepath.Join(dir, "b", "root")); err != nil {
		t.Fatal(err)
	}
	if bytes, inodes, partial := measure(t.Context(), dir, nil); bytes < 128<<10 || inodes != 6 || partial {
		t.Errorf("all: %d bytes, %d inodes, partial %v", bytes, inodes, partial)
	}
	if bytes, inodes, _ := measure(t.Context(), dir, []string{filepath.Join(dir, "a")}); bytes < 64<<10 || bytes >= 128<<10 || inodes != 4 {
		t.Errorf("without a: %d bytes, %d inodes", bytes, inodes)
	}
	if bytes, inodes, partial := measure(t.Context(), filepath.Join(dir, "none"), nil); bytes != 0 || inodes != 0 || partial {
		t.Errorf("nothing: %d bytes, %d inodes, partial %v", bytes, inodes, partial)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, partial := measure(ended, dir, nil); !partial {
		t.Error("out of time, and all was counted")
	}
}

// A container may make more files than can be counted, and folders that are too deep for a path.
func TestMeasureIsBounded(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-")
	if err != nil {
		t.Skip("needs a folder in memory")
	}
	defer os.RemoveAll(dir)
	for i := range maxEntries + 10 {
		if err := os.Symlink("x", filepath.Join(dir, fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, inodes, partial := measure(t.Context(), dir, nil); inodes != maxEntries || !partial {
		t.Errorf("%d inodes, partial %v", inodes, partial)
	}
	deep, name := filepath.Join(dir, "deep"), strings.Repeat("d", 200)
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Open(deep, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	for range 40 {
		if err != nil {
			break
		}
		if err = unix.Mkdirat(at, name, 0o700); err == nil {
			var next int
			next, err = unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
			unix.Close(at)
			at = next
		}
	}
	unix.Close(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, inodes, partial := measure(t.Context(), deep, nil); inodes < 10 || !partial {
		t.Errorf("deep: %d inodes, partial %v", inodes, partial)
	}
}

// A full disk names what fills it, by what it lacks. One with space names nothing.
func TestRootFind(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	root := t.TempDir()
	if err := unix.Mount("disk", root, "tmpfs", 0, "size=32m,nr_inodes=2000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	l := layout.Layout{
		StateDir: filepath.Join(root, "state"), LogDir: filepath.Join(root, "log"),
		GroupsDir: filepath.Join(root, "groups.d"), RunDir: filepath.Join(root, "none"),
	}
	snapshots := filepath.Join(l.StateDir, "containerd", "io.containerd.snapshotter.v1.overlayfs", "snapshots")
	layer := host.Layer{Group: "hog", Container: "app", Path: filepath.Join(snapshots, "7", "fs")}
	write(t, filepath.Join(layer.Path, "fill"), 8<<20)
	write(t, filepath.Join(snapshots, "1", "fs", "bin"), 4<<20)
	write(t, l.LogPath("shop", "web"), 2<<20)
	write(t, filepath.Join(l.PersistentPath("shop", "data"), "f"), 1<<20)
	write(t, filepath.Join(l.StateDir, "wanted", "shop.json"), 4<<10)
	layers := func(context.Context) ([]host.Layer, error) { return []host.Layer{layer}, nil }
	names := func(d host.Disk) (all []string) {
		for _, c := range d.Consumers {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s%s%s", c.Kind, c.Group, c.Container, c.Volume)))
		}
		return all
	}
	found := Find(t.Context(), l, layers)
	if len(found) != 1 || found[0].Full || len(found[0].Consumers) > 0 || found[0].Path != l.StateDir || found[0].Size != 32<<20 {
		t.Fatalf("with space: %+v", found)
	}
	write(t, filepath.Join(root, "ballast"), int(found[0].Free))
	d := Find(t.Context(), l, layers)[0]
	want := []string{"layer hogapp", "images", "output shopweb", "volume shopdata", "state"}
	if got := names(d); !d.Full || d.FewFiles() || !slices.Equal(got, want) {
		t.Errorf("without a byte: %+v", d)
	}
	if d.Consumers[0].Bytes != 8<<20 || d.Consumers[0].Partial {
		t.Errorf("the layer: %+v", d.Consumers[0])
	}
	if err := os.Remove(filepath.Join(root, "ballast")); err != nil {
		t.Fatal(err)
	}
	for i := range d.FreeInodes {
		write(t, filepath.Join(l.PersistentPath("shop", "data"), fmt.Sprint(i)), 0)
	}
	if d = Find(t.Context(), l, layers)[0]; !d.FewFiles() || names(d)[0] != "volume shopdata" || d.Consumers[0].Inodes < 1900 {
		t.Errorf("without an inode: %+v", d)
	}
	if d = Find(t.Context(), l, nil)[0]; slices.Contains(names(d), "layer hogapp") || !slices.Contains(names(d), "images") {
		t.Errorf("without containerd: %+v", d)
	}
}
