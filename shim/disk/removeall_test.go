package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
)

// nest makes folders in one another below dir, without a path. Each has one file and one link.
func nest(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := errors.Join(unix.Mkdirat(at, "d", 0o700), unix.Symlinkat("/etc", at, "link")); err != nil {
			t.Fatal(err)
		}
		below, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = below
	}
	unix.Close(at)
}

// limitFiles leaves the process that many free descriptors until the end of the test.
func limitFiles(t *testing.T, free uint64) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = uint64(len(open)) + free // ReadDir's own is closed by now, which leaves one more
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
}

// os.RemoveAll fails here: it has a descriptor open for each level.
func TestRemoveAllDeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	nest(t, dir, 3000) // a path of 6000 bytes
	limitFiles(t, 4)
	if err := disk.RemoveAll(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it still exists: %v", err)
	}
}

// Entries are found in parts, and each part begins where the last one ended. Where that is depends
// on the filesystem.
func TestRemoveAllWide(t *testing.T) {
	for _, parent := range []string{t.TempDir(), "/dev/shm"} {
		dir, err := os.MkdirTemp(parent, "sallyport-test-*")
		if err != nil {
			t.Fatal(err)
		}
		removeWide(t, dir)
	}
}

func removeWide(t *testing.T, dir string) {
	t.Helper()
	for i := range 500 {
		below := filepath.Join(dir, fmt.Sprintf("%04d-%s", i, strings.Repeat("x", i%200)))
		if err := os.MkdirAll(filepath.Join(below, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(below, "f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.RemoveAll(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it still exists: %v", err)
	}
}

func TestRemoveAllFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "kept"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"volume/link", "volume/deep/link", "itself"} {
		at = filepath.Join(dir, at)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.Symlink(outside, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"volume", "itself", "absent", "absent/absent"} {
		if err := disk.RemoveAll(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
		t.Errorf("left: %v, error %v", left, err)
	}
	if _, err := os.Lstat(filepath.Join(outside, "kept")); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

func TestRemoveAllEndsWithItsContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := disk.RemoveAll(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := disk.RemoveAll(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// endsAfter is a context that is cancelled once it was asked so many times.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// One folder may hold millions of files.
func TestRemoveAllEndsWithinAFolder(t *testing.T) {
	dir := t.TempDir()
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%032d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.RemoveAll(&endsAfter{t.Context(), 1}, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); len(left) == 0 || len(left) == 1000 || err != nil {
		t.Errorf("%d files left, error %v", len(left), err)
	}
}

// Another folder may be at the path of one that is open.
func TestRemoveAllInAnOpenFolder(t *testing.T) {
	dir := t.TempDir()
	path, moved := filepath.Join(dir, "volume"), filepath.Join(dir, "moved")
	if err := os.MkdirAll(filepath.Join(path, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := errors.Join(os.Rename(path, moved), os.MkdirAll(filepath.Join(path, "a", "kept"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "absent"} {
		if err := disk.RemoveAllIn(t.Context(), folder, name); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(moved); len(left) > 0 || err != nil {
		t.Errorf("left: %v, error %v", left, err)
	}
	if _, err := os.Lstat(filepath.Join(path, "a", "kept")); err != nil {
		t.Errorf("the other folder: %v", err)
	}
}

// A container chooses the names and the depth.
func TestRootRemoveAllSaysWhereInFewWords(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root")
		}
		t.Skip("this test needs root")
	}
	dir := filepath.Join(t.TempDir(), "volume")
	at := dir
	for range 10 {
		at = filepath.Join(at, strings.Repeat("\x1b", 250))
	}
	outside := t.TempDir()
	if err := errors.Join(os.MkdirAll(at, 0o700), os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600), unix.Mount(outside, at, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	err := disk.RemoveAll(t.Context(), dir)
	if gone := unix.Unmount(at, unix.MNT_DETACH); gone != nil {
		t.Fatal(gone)
	}
	if err == nil || !strings.Contains(err.Error(), "10 folders deep: a filesystem is mounted there") ||
		len(err.Error()) > len(dir)+400 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error %q", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "kept")); err != nil {
		t.Errorf("the content of the mount was deleted: %v", err)
	}
	if err := disk.RemoveAll(t.Context(), dir); err != nil {
		t.Error(err)
	}
}
