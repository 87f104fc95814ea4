package volumes_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim/linux/quota"
	"github.com/sallyport/sallyport/shim/linux/quota/quotatest"
	"github.com/sallyport/sallyport/spec"
)

const mib = 1 << 20

// bounded is a group with one persistent volume of a size. Zero is no bound.
func bounded(size int64) *spec.Group {
	return &spec.Group{Name: "g", Volumes: []spec.Volume{{Name: "data", Persistent: true, Size: size}}}
}

// sized checks that the mounted volume is as wanted, and nothing else.
func sized(t *testing.T, v interface {
	Observe(context.Context, string, *spec.Group) ([]spec.Volume, error)
}, want *spec.Group, is bool) {
	t.Helper()
	have, err := v.Observe(context.Background(), "g", want)
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != 1 || have[0].Satisfies(want.Volumes[0]) != is {
		t.Errorf("%+v satisfies %+v: %v", have, want.Volumes, !is)
	}
}

// The kernel bounds a volume, with what is in it, from the first mount or later. Its mount stays.
func TestRootPersistentSize(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, f *quotatest.FileSystem) {
		v, l := newVolumesIn(t, f.At)
		ctx, kept := context.Background(), l.PersistentPath("g", "data")
		for _, size := range []int64{0, 4 * mib, 8 * mib, 2 * mib, 0, mib} {
			want := bounded(size)
			if err := v.Ensure(ctx, want, want.Volumes[0], nil); err != nil {
				t.Fatal(err)
			}
			sized(t, v, want, true)
			sized(t, v, bounded(size+mib), false)
			if s, err := quota.Look(kept); err != nil || s.Limit != size || size > 0 && s.Used == 0 {
				t.Errorf("with %d bytes: %+v, error %v", size, s, err)
			}
			if size == 0 { // it counts with the next size
				if err := os.WriteFile(filepath.Join(l.VolumePath("g", "data"), "file"), make([]byte, mib/4), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := v.Remove(ctx, "g", "data"); err != nil {
			t.Fatal(err)
		}
		want := bounded(mib)
		if err := v.Ensure(ctx, want, want.Volumes[0], nil); err != nil {
			t.Fatal(err)
		}
		sized(t, v, want, true)
		if s, err := quota.Look(kept); err != nil || s.Limit != mib || s.Used < mib/4 {
			t.Errorf("mounted again: %+v, error %v", s, err)
		}
	})
}

// Where the kernel can't bound a volume there is nothing to be done about its size.
func TestRootPersistentSizeIsSoft(t *testing.T) {
	f := quotatest.New(t, "ext4", "noatime")
	v, _ := newVolumesIn(t, f.At)
	for _, size := range []int64{mib, 2 * mib, 0} {
		want := bounded(size)
		if err := v.Ensure(context.Background(), want, want.Volumes[0], nil); err != nil {
			t.Fatal(err)
		}
		sized(t, v, want, true)
	}
	sized(t, v, bounded(7*mib), true)
}
