package volumes

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
)

// One read is for all who asked before it began, and for no one who asked later.
func TestMountListIsShared(t *testing.T) {
	all, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != "/proc" || i.FSType != "proc", false })
	if err != nil || len(all) == 0 {
		t.Skipf("no mount to look for: %v", err)
	}
	var l mountList
	asked := time.Now().Add(-time.Nanosecond)
	read := func(asked time.Time, dir string, reads int) {
		t.Helper()
		found, err := l.since(asked, dir)
		if err != nil {
			t.Fatal(err)
		}
		has := false
		for _, m := range found {
			has = has || m.Mountpoint == "/proc"
		}
		if has != (dir == "/") || l.reads != reads {
			t.Errorf("in %s: %v, after %d reads, want %d", dir, has, l.reads, reads)
		}
	}
	for range 50 {
		read(asked, "/", 1)
		read(asked, filepath.Join("/", "absent"), 1)
	}
	read(time.Now().Add(time.Hour), "/", 2)
	read(asked, "/", 2)
	read(asked, "/absent/absent", 3) // below another folder
}
