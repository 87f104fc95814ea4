package disks

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/quota/quotatest"
)

// A container may make so many folders, and with so long paths, that a list of them would take more
// memory than the daemon may.
func TestMeasureTakesLittleMemory(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	long := dir
	for len(long) < 3500 {
		long = filepath.Join(long, strings.Repeat("d", 200))
	}
	if err := os.MkdirAll(long, 0o755); err != nil {
		t.Fatal(err)
	}
	const folders = 10_000
	for i := range folders {
		if err := os.Mkdir(filepath.Join(long, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, inodes, _ := measure(t.Context(), dir, nil)
	runtime.ReadMemStats(&after)
	// A list of the paths would have 3,500 bytes of each. With the race detector, package os loses
	// every fourth of its buffers, of 8 KiB.
	if each := (after.TotalAlloc - before.TotalAlloc) / folders; inodes < folders || each > 3000 {
		t.Errorf("%d bytes allocated for each of %d folders", each, inodes)
	}
}

// The files of an overlayfs may have other devices than their folders.
func TestRootMeasureOverlay(t *testing.T) {
	d := quotatest.New(t, "xfs", "noatime")
	lower, upper, work, merged := t.TempDir(), d.Folder(t, "upper"), d.Folder(t, "work"), t.TempDir()
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	l := layout.Layout{StateDir: filepath.Join(merged, "state"), LogDir: filepath.Join(merged, "log"), GroupsDir: merged, RunDir: merged}
	volume := l.PersistentPath("g", "data")
	write(t, filepath.Join(volume, "file"), mib)
	write(t, l.LogPath("g", "web"), mib)
	if err := os.Mkdir(filepath.Join(volume, "mounted"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("other", filepath.Join(volume, "mounted"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(filepath.Join(volume, "mounted"), unix.MNT_DETACH)
	write(t, filepath.Join(volume, "mounted", "other"), 8*mib)
	if bytes, inodes, partial := measure(t.Context(), volume, nil); bytes < mib || bytes > 2*mib || inodes != 2 || partial {
		t.Errorf("%d bytes in %d files, partial %v", bytes, inodes, partial)
	}
	u := Usage(t.Context(), l, Sources{})
	if i := slices.IndexFunc(u.Consumers, func(c host.Consumer) bool { return c.Kind == host.OutputConsumer }); i < 0 || u.Consumers[i].Bytes < mib {
		t.Errorf("output: %+v", u.Consumers)
	}
	if len(u.Disks) != 1 || u.Disks[0].Taken < 2*mib || u.Disks[0].Taken > 4*mib {
		t.Errorf("disks: %+v", u.Disks)
	}
}

// A subvolume of a btrfs has a device of its own. Any container can make one in a volume.
func TestRootMeasureSubvolume(t *testing.T) {
	d := quotatest.New(t, "btrfs", "noatime")
	volume := d.Folder(t, "volume")
	if out, err := exec.Command("btrfs", "subvolume", "create", filepath.Join(volume, "sub")).CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip(err)
		}
		t.Fatalf("%v: %s", err, out)
	}
	write(t, filepath.Join(volume, "sub", "file"), mib)
	unix.Sync()
	if bytes, inodes, _ := measure(t.Context(), volume, nil); bytes < mib || inodes != 3 {
		t.Errorf("%d bytes in %d files", bytes, inodes)
	}
}
