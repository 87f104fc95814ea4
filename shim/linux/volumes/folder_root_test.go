package volumes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

func TestRootPersistentVolumesOutliveTheirGroup(t *testing.T) {
	v, l := newVolumes(t)
	ctx := context.Background()
	data := spec.Volume{Name: "data", Persistent: true, Owner: "65532:65532"}
	ensure(t, v, data)
	inside := filepath.Join(l.VolumePath("g", "data"), "record")
	writeFile(t, inside, "1")
	if err := v.Discard(ctx, "g"); err == nil {
		t.Error("a mounted volume was deleted")
	}
	if err := v.Remove(ctx, "g", "data"); err != nil {
		t.Fatal(err)
	}
	ensure(t, v, data)
	if got, err := os.ReadFile(inside); string(got) != "1" || err != nil {
		t.Errorf("after rm and apply its file has %q, error %v", got, err)
	}
	if err := v.Remove(ctx, "g", "data"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := v.Discard(ctx, "g"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(l.StateDir, "volumes")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

func TestRootDiscardFollowsNoLink(t *testing.T) {
	v, l := newVolumes(t)
	ctx := context.Background()
	outside := makeFolder(t, filepath.Join(t.TempDir(), "outside"))
	writeFile(t, filepath.Join(outside, "kept"), "x")
	ensure(t, v, spec.Volume{Name: "data", Persistent: true})
	if err := os.Symlink(outside, filepath.Join(l.VolumePath("g", "data"), "link")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Remove(ctx, "g", "data"), v.Discard(ctx, "g")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Errorf("a link in the volume was followed: %v", err)
	}
}

// A daemon was killed before the folder had its owner.
func TestRootUnfinishedPersistentVolume(t *testing.T) {
	v, l := newVolumes(t)
	makeFolder(t, filepath.Join(filepath.Dir(l.PersistentPath("g", "data")), ".data"))
	ensure(t, v, spec.Volume{Name: "data", Persistent: true, Owner: "65532:65532"})
	if got := ownerOf(t, l.PersistentPath("g", "data")); got != "65532:65532 750" {
		t.Errorf("it is %s, want 65532:65532 750", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(l.PersistentPath("g", "data")), ".data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished folder still exists: %v", err)
	}
}

func TestRootDiscardCrossesNoMount(t *testing.T) {
	v, l := newVolumes(t)
	ctx := context.Background()
	outside := makeFolder(t, filepath.Join(t.TempDir(), "outside"))
	writeFile(t, filepath.Join(outside, "kept"), "x")
	ensure(t, v, spec.Volume{Name: "data", Persistent: true})
	if err := v.Remove(ctx, "g", "data"); err != nil {
		t.Fatal(err)
	}
	at := makeFolder(t, filepath.Join(l.PersistentPath("g", "data"), "disk"))
	if err := unix.Mount(outside, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err := v.Discard(ctx, "g")
	if gone := unix.Unmount(at, unix.MNT_DETACH); gone != nil {
		t.Fatal(gone)
	}
	if err == nil || !strings.Contains(err.Error(), "there is a mount on "+at) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Errorf("the content of the mount was deleted: %v", err)
	}
	if err := v.Discard(ctx, "g"); err != nil {
		t.Error(err)
	}
}

// A container can nest folders deeper than a path is long, and than a process may have files open.
func TestRootDiscardDeep(t *testing.T) {
	v, l := newVolumes(t)
	// A tmpfs makes 150,000 folders in a second.
	if err := unix.Mount("sallyport-test", l.StateDir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(l.StateDir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ensure(t, v, spec.Volume{Name: "data", Persistent: true})
	at, err := unix.Open(l.VolumePath("g", "data"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 150_000 {
		err := unix.Mkdirat(at, "d", 0o700)
		below, err2 := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err := errors.Join(err, err2, unix.Close(at)); err != nil {
			t.Fatal(err)
		}
		at = below
	}
	unix.Close(at)
	if err := v.Remove(t.Context(), "g", "data"); err != nil {
		t.Fatal(err)
	}
	if err := v.Discard(t.Context(), "g"); err != nil && len(err.Error()) > 1000 {
		t.Fatalf("an error of %d bytes: %.200s", len(err.Error()), err)
	} else if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(l.StateDir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, error %v", left, err)
	}
}
