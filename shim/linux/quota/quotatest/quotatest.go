// Package quotatest makes file systems for tests, with project quotas and without. Each is a file
// that is mounted with a loop device.
package quotatest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// makers are the file systems, and how each is made.
var makers = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"},
	"xfs":   {"mkfs.xfs", "-q"},
	"btrfs": {"mkfs.btrfs", "-q"}, // without project quotas
}

// size of a file system in bytes. mkfs.xfs makes none below 300 MiB. The file is sparse.
const size = 400 << 20

// A FileSystem is mounted until its test ends.
type FileSystem struct {
	At string // where

	kind, options, image string
}

// Each calls test with a file system of each kind that has project quotas. Those that the kernel
// doesn't have are skipped.
func Each(t *testing.T, test func(*testing.T, *FileSystem)) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) { test(t, New(t, kind, "prjquota")) })
	}
}

// New makes and mounts a file system. It skips the test if that needs project quotas and the kernel
// has none.
func New(t *testing.T, kind, options string) *FileSystem {
	t.Helper()
	netnstest.Root(t)
	f := &FileSystem{At: filepath.Join(t.TempDir(), kind), kind: kind, options: options, image: filepath.Join(t.TempDir(), "image")}
	maker := makers[kind]
	if !strings.Contains(options, "prjquota") {
		maker = maker[:2] // a kernel without quotas mounts none that is made for them
	}
	if _, err := exec.LookPath(maker[0]); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if err := errors.Join(os.WriteFile(f.image, nil, 0o600), os.Truncate(f.image, size), os.Mkdir(f.At, 0o755)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(maker[0], append(maker[1:], f.image)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", maker[0], err, out)
	}
	switch out, err := f.mount(); {
	case err != nil && strings.Contains(options, "prjquota"):
		t.Skipf("this kernel has no project quotas for %s: %v: %s", kind, err, out)
	case err != nil:
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(f.At, unix.MNT_DETACH) })
	return f
}

func (f *FileSystem) mount() ([]byte, error) {
	return exec.Command("mount", "-t", f.kind, "-o", "loop,"+f.options, f.image, f.At).CombinedOutput()
}

// MountAgain unmounts the file system and mounts it, as a boot does.
func (f *FileSystem) MountAgain(t *testing.T) {
	t.Helper()
	if err := unix.Unmount(f.At, 0); err != nil {
		t.Fatal(err)
	}
	if out, err := f.mount(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
}

// Folder makes a folder in the file system.
func (f *FileSystem) Folder(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(f.At, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
