package volumes_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

func TestRootTmpfs(t *testing.T) {
	v, l := newVolumes(t)
	path := l.VolumePath("g", "logs")
	for _, size := range []int64{1 << 20, 1 << 20, 4 << 20, 2 << 20, 5000} {
		ensure(t, v, spec.Volume{Name: "logs", Size: size})
		rounded := (size + int64(os.Getpagesize()) - 1) / int64(os.Getpagesize()) * int64(os.Getpagesize())
		want := []spec.Volume{{Name: "logs", Size: rounded, Owner: "0:0", Mode: 0o1777}}
		if diff := cmp.Diff(want, observe(t, v, "g", nil)); diff != "" {
			t.Errorf("volumes after Ensure with %d bytes (-want +got):\n%s", size, diff)
		}
		if size == 1<<20 {
			writeFile(t, filepath.Join(path, "kept"), "x")
		}
	}
	if _, err := os.Stat(filepath.Join(path, "kept")); err != nil {
		t.Errorf("its content is gone: %v", err)
	}
}

func TestRootTmpfsIsNoSmallerThanItsContent(t *testing.T) {
	v, l := newVolumes(t)
	ensure(t, v, spec.Volume{Name: "logs", Size: 1 << 20})
	writeFile(t, filepath.Join(l.VolumePath("g", "logs"), "big"), string(make([]byte, 512<<10)))
	smaller := spec.Volume{Name: "logs", Size: 64 << 10}
	err := v.Ensure(context.Background(), groupWith(smaller), smaller, nil)
	var p *hint.Error
	if !errors.As(err, &p) || err.Error() != "mount volume logs: 64KiB is less than what is in it" {
		t.Errorf("error %v", err)
	}
}
