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

	"github.com/google/go-cmp/cmp"
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

// A container may make more files than can be counted, and folders that are too deep.
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
	deep := filepath.Join(dir, "deep")
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Open(deep, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	for range maxDeep + 10 { // their path is longer than PATH_MAX
		if err != nil {
			break
		}
		name := strings.Repeat("d", 200)
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
	if _, inodes, partial := measure(t.Context(), deep, nil); inodes != maxDeep+1 || !partial {
		t.Errorf("deep: %d inodes, partial %v", inodes, partial)
	}
}

// smallDisk returns the layout of an instance on a disk of 32 MiB, and the disk's root.
func smallDisk(t *testing.T) (l layout.Layout, root string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	root = t.TempDir()
	if err := unix.Mount("disk", root, "tmpfs", 0, "size=32m,nr_inodes=2000"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return layout.Layout{
		StateDir: filepath.Join(root, "state"), LogDir: filepath.Join(root, "log"),
		GroupsDir: filepath.Join(root, "groups.d"), RunDir: filepath.Join(root, "none"),
	}, root
}

// A full disk names what fills it, by what it lacks. One with space names nothing.
func TestRootFind(t *testing.T) {
	l, root := smallDisk(t)
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

// All that takes room is counted once, on its disk: output with holes by its blocks, all files of a
// container's output together, and what a removed group has left.
func TestRootUsage(t *testing.T) {
	l, root := smallDisk(t)
	images := filepath.Join(l.StateDir, "containerd", "io.containerd.snapshotter.v1.overlayfs")
	layer := host.Layer{Group: "shop", Container: "web", Image: "sha256:1", Path: filepath.Join(images, "snapshots", "7", "fs")}
	write(t, filepath.Join(layer.Path, "fill"), 3<<20)
	write(t, filepath.Join(images, "snapshots", "1", "fs", "bin"), 4<<20)
	write(t, l.LogPath("shop", "web"), 1<<20)
	write(t, l.LogPath("shop", "web")+".times", 4<<10)
	f, err := os.OpenFile(l.LogPath("shop", "web"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 1<<19), f.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.LogDir, ".removed", "shop@1", "web.log"), 1<<20)
	write(t, filepath.Join(l.LogDir, ".removed", "shop@2", "web.log"), 1<<20)
	write(t, filepath.Join(l.PersistentPath("gone", "data"), "f"), 2<<20)
	write(t, filepath.Join(l.StateDir, "wanted", "shop.json"), 4<<10)
	u := Usage(t.Context(), l, Sources{
		Layers: func(context.Context) ([]host.Layer, error) { return []host.Layer{layer}, nil },
		Images: func(context.Context) (host.Images, error) {
			return host.Images{Path: images, All: []host.ImageUsage{{Own: 3 << 20, Common: 1 << 20}}, Shared: 1 << 20, Other: 4096}, nil
		},
		Memory: func() ([]host.Consumer, error) {
			return []host.Consumer{{Kind: host.MemoryConsumer, Group: "shop", Volume: "spool", Path: root, Bytes: 5 << 20}}, nil
		},
		Groups: func() []string { return []string{"shop"} },
	})
	var got []string
	for _, c := range u.Consumers {
		text := fmt.Sprintf("%s %s %s%s %d", c.Kind, c.Group, c.Container, c.Volume, c.Bytes)
		if c.Removed {
			text += " removed"
		}
		got = append(got, text)
	}
	want := []string{
		"memory shop spool 5242880", "layer shop web 3145728", "output shop  2097152 removed", "volume gone data 2097152 removed",
		"output shop web 528384", "state   4096",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("consumers (-want +got):\n%s", diff)
	}
	const taken = 3<<20 + 2<<20 + 2<<20 + 528384 + 4096 + 3<<20 + 1<<20 + 4096
	if len(u.Disks) != 1 || u.Disks[0].Size != 32<<20 || u.Disks[0].Taken != taken || len(u.Unknown) > 0 {
		t.Errorf("disks %+v, want %d bytes taken; unknown %q", u.Disks, taken, u.Unknown)
	}
	if u.Consumers[1].Image != "sha256:1" {
		t.Errorf("the layer %+v", u.Consumers[1])
	}
}

// What can't be asked is named, and everything else is counted.
func TestUsageWithoutContainerd(t *testing.T) {
	dir := t.TempDir()
	l := layout.Layout{StateDir: filepath.Join(dir, "state"), LogDir: filepath.Join(dir, "log"), GroupsDir: dir, RunDir: dir}
	write(t, l.LogPath("shop", "web"), 1<<20)
	no := errors.New("no answer")
	u := Usage(t.Context(), l, Sources{
		Layers: func(context.Context) ([]host.Layer, error) { return nil, no },
		Images: func(context.Context) (host.Images, error) { return host.Images{}, no },
		Memory: func() ([]host.Consumer, error) { return nil, no },
	})
	want := []string{"images: no answer", "files written by containers: no answer", "volumes in memory: no answer"}
	if diff := cmp.Diff(want, u.Unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if len(u.Consumers) == 0 || u.Consumers[0].Kind != host.OutputConsumer || u.Consumers[0].Bytes < 1<<20 || u.Consumers[0].Removed {
		t.Errorf("consumers %+v", u.Consumers)
	}
}

// Counting that is out of time reports it, for each consumer.
func TestUsageOutOfTime(t *testing.T) {
	dir := t.TempDir()
	l := layout.Layout{StateDir: filepath.Join(dir, "state"), LogDir: filepath.Join(dir, "log"), GroupsDir: dir, RunDir: dir}
	write(t, filepath.Join(l.PersistentPath("shop", "data"), "f"), 1<<20)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for ctx, partial := range map[context.Context]bool{ended: true, t.Context(): false} {
		found := Usage(ctx, l, Sources{}).Consumers
		if len(found) != 2 {
			t.Fatalf("consumers %+v", found)
		}
		for _, c := range found {
			if c.Partial != partial {
				t.Errorf("%+v, want partial %v", c, partial)
			}
		}
	}
}
