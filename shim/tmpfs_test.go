package shim_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

// needRoot skips on a laptop and fails in CI.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test needs root")
	}
	t.Skip("this test needs root")
}

func newTmpfs(t *testing.T) (*shim.Tmpfs, shim.Layout) {
	t.Helper()
	needRoot(t)
	l := shim.Layout{RunDir: t.TempDir()}
	v := shim.NewTmpfs(l)
	t.Cleanup(func() {
		groups, err := v.Groups(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, g := range groups {
			vols, err := v.Observe(context.Background(), g)
			if err != nil {
				t.Error(err)
			}
			for _, vol := range vols {
				if err := v.Remove(context.Background(), g, vol.Name); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return v, l
}

func TestTmpfsOfAHostWithoutAny(t *testing.T) {
	v := shim.NewTmpfs(shim.Layout{RunDir: filepath.Join(t.TempDir(), "none")})
	groups, err := v.Groups(context.Background())
	vols, err2 := v.Observe(context.Background(), "g")
	if len(groups)+len(vols) > 0 || err != nil || err2 != nil {
		t.Errorf("groups %q, volumes %v, errors %v, %v", groups, vols, err, err2)
	}
	if err := v.Remove(context.Background(), "g", "logs"); err != nil && !errors.Is(err, unix.EPERM) {
		t.Errorf("remove: %v", err)
	}
}

func TestRootTmpfs(t *testing.T) {
	v, l := newTmpfs(t)
	ctx := context.Background()
	path := l.VolumePath("g", "logs")
	for _, size := range []int64{1 << 20, 1 << 20, 4 << 20, 2 << 20, 5000} {
		if err := v.Ensure(ctx, "g", spec.Volume{Name: "logs", Size: size}); err != nil {
			t.Fatal(err)
		}
		got, err := v.Observe(ctx, "g")
		rounded := (size + int64(os.Getpagesize()) - 1) / int64(os.Getpagesize()) * int64(os.Getpagesize())
		if diff := cmp.Diff([]spec.Volume{{Name: "logs", Size: rounded}}, got); diff != "" || err != nil {
			t.Errorf("after %d bytes were asked for (-want +got, error %v):\n%s", size, err, diff)
		}
		if size == 1<<20 {
			if err := os.WriteFile(filepath.Join(path, "kept"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(path, "kept")); err != nil {
		t.Errorf("what was in it is gone: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Flags&unix.ST_NOSUID == 0 || st.Flags&unix.ST_NODEV == 0 {
		t.Errorf("flags %#x, error %v", st.Flags, err)
	}
}

func TestRootTmpfsIsNoSmallerThanWhatIsInIt(t *testing.T) {
	v, l := newTmpfs(t)
	ctx := context.Background()
	if err := v.Ensure(ctx, "g", spec.Volume{Name: "logs", Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.VolumePath("g", "logs"), "big"), make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	err := v.Ensure(ctx, "g", spec.Volume{Name: "logs", Size: 64 << 10})
	var p *shim.Problem
	if !errors.As(err, &p) || p.Error() != "resize volume logs: 64KiB is less than what is in it" {
		t.Errorf("error %v", err)
	}
}

func TestRootTmpfsRemove(t *testing.T) {
	v, l := newTmpfs(t)
	ctx := context.Background()
	for _, name := range []string{"logs", "spool"} {
		if err := v.Ensure(ctx, "g", spec.Volume{Name: name, Size: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := os.Create(filepath.Join(l.VolumePath("g", "logs"), "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, name := range []string{"logs", "logs", "spool"} {
		if err := v.Remove(ctx, "g", name); err != nil {
			t.Fatal(err)
		}
	}
	if groups, err := v.Groups(ctx); len(groups) > 0 || err != nil {
		t.Errorf("groups %q, error %v", groups, err)
	}
	if _, err := os.Stat(filepath.Dir(l.VolumePath("g", "x"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the group's folder is still there: %v", err)
	}
}
