package hostfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRootReadRefusesADevice(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "zero")
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	_, err := Read(t.Context(), "", path, most)
	check(t, nil, err, "it is a device")
}

// A user who may write to a folder can't have a file of root's read, which is in it, by a link.
func TestRootReadRefusesALinkOfAnotherUser(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "real"), "secret")
	path := filepath.Join(dir, "file")
	symlink(t, "real", path)
	content, err := Read(t.Context(), dir, path, most)
	check(t, content, err, "") // the control: root's own link
	if err := os.Lchown(path, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	_, err = Read(t.Context(), dir, path, most)
	check(t, nil, err, "belongs to user 1000 and leads to a file of user 0")
	if err := os.Chown(filepath.Join(dir, "real"), 1000, 1000); err != nil {
		t.Fatal(err)
	}
	content, err = Read(t.Context(), dir, path, most)
	check(t, content, err, "")
}

// The test serves a FUSE mount that never answers, as a network mount whose server is gone.
func TestRootDeadMount(t *testing.T) {
	needRoot(t)
	dir, alive := t.TempDir(), put(t, filepath.Join(t.TempDir(), "file"), "secret")
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no /dev/fuse:", err)
	}
	if err := unix.Mount("dead", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fuse)); err != nil {
		unix.Close(fuse)
		t.Fatal(err)
	}
	patience := system.patience
	system.patience = 50 * time.Millisecond
	defer func() {
		system.patience = patience
		if err := errors.Join(unix.Close(fuse), unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
			t.Error(err)
		}
		for system.hanging() { // the mount has failed by now, so they return
		}
	}()
	_, err = Read(t.Context(), dir, filepath.Join(dir, "file"), most)
	check(t, nil, err, "gave no answer for 50ms")
	_, err = Stat(t.Context(), filepath.Join(dir, "sub", "file"))
	check(t, nil, err, "gave no answer for 50ms")
	system.patience = time.Minute // what follows takes no time, but a busy machine needs more than that
	_, err = Read(t.Context(), dir, filepath.Join(dir, "another"), most)
	check(t, nil, err, "gives no answer in "+dir)
	content, err := Read(t.Context(), "", alive, most)
	check(t, content, err, "")
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed")
		}
		t.Skip("root is needed")
	}
}
