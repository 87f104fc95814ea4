package disks

import (
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/quota"
	"github.com/sallyport/sallyport/shim/linux/quota/quotatest"
)

func TestRootHardBounds(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, f *quotatest.FileSystem) {
		b := newTestBounds(t, f.At)
		if got := b.Limited(t.Context(), bounded()); got != host.Absent {
			t.Errorf("at first they are %d", got)
		}
		for _, x := range boundsOf(t, b) {
			if x.Hard || x.Soft != "the kernel's is not in force yet" || x.Used == 0 {
				t.Errorf("not in force: %+v", x)
			}
		}
		if err := b.Limit(t.Context(), bounded()); err != nil {
			t.Fatal(err)
		}
		if got := b.Limited(t.Context(), bounded()); got != host.Present {
			t.Errorf("in force they are %d", got)
		}
		if x := boundsOf(t, b)[0]; !x.Hard || x.Soft != "" || x.Used < mib/2 || x.Files != 4 {
			t.Errorf("in force: %+v", x)
		}
		web, err := quota.Look(filepath.Join(f.At, "web", "fs"))
		work, errWork := quota.Look(filepath.Join(f.At, "web", "work"))
		free, errFree := quota.Look(filepath.Join(f.At, "free", "fs"))
		if err != nil || errWork != nil || errFree != nil || web.ID == 0 || work.ID != web.ID || free.ID != 0 {
			t.Errorf("web %+v, its work %+v, free %+v; errors %v, %v, %v", web, work, free, err, errWork, errFree)
		}
		more := bounded()
		more.Containers[1].Resources.Disk = 3 * mib
		if got := b.Limited(t.Context(), more); got != host.Absent {
			t.Errorf("another bound is %d", got)
		}
		if err := b.Limit(t.Context(), more); err != nil {
			t.Fatal(err)
		}
		if got := b.Limited(t.Context(), more); got != host.Present {
			t.Errorf("another bound in force is %d", got)
		}
	})
}
