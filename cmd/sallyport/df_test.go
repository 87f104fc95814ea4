package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/disks"
)

const mebibyte, gibibyte = 1 << 20, 1 << 30

// sampleUsage has something of each kind, and what a group has left that is removed.
func sampleUsage() host.Usage {
	return host.Usage{
		Disks: []host.DiskUsage{{Disk: host.Disk{Path: "/var/lib/sallyport", Size: 40 * gibibyte, Free: 12 * gibibyte}, Taken: 2 * gibibyte}},
		Consumers: []host.Consumer{
			{Kind: host.VolumeConsumer, Group: "shop", Volume: "data", Bytes: gibibyte, Inodes: 50_000, Partial: true},
			{Kind: host.OutputConsumer, Group: "shop", Container: "web", Bytes: 50 * mebibyte, Inodes: 2},
			{Kind: host.LayerConsumer, Group: "shop", Container: "web", Image: "sha256:1", Bytes: 20 * mebibyte, Inodes: 7},
			{Kind: host.MemoryConsumer, Group: "shop", Volume: "spool", Bytes: 16 * mebibyte, Inodes: 3},
			{Kind: host.VolumeConsumer, Group: "old", Volume: "data", Bytes: 8 * mebibyte, Inodes: 9, Removed: true},
			{Kind: host.OutputConsumer, Group: "old", Bytes: mebibyte, Inodes: 3, Removed: true},
			{Kind: host.OutputConsumer, Group: "shop", Bytes: mebibyte, Inodes: 3, Removed: true},
			{Kind: host.LayerConsumer, Group: "shop", Container: "proxy", Image: "sha256:0123456789abcdef", Bytes: 4096, Inodes: 1},
			{Kind: host.StateConsumer, Bytes: 4096, Inodes: 1},
			{Kind: "news", Group: "shop", Bytes: mebibyte},
		},
		Images: host.Images{
			All: []host.ImageUsage{
				{Names: []string{"web:1", "web@sha256:1"}, Digest: "sha256:1", Own: 100 * mebibyte, Common: 30 * mebibyte, Groups: []string{"batch", "shop"}},
				{Names: []string{"oci-archive:/a b.tar", "old@sha256:2"}, Digest: "sha256:2", Own: 90 * mebibyte, Common: 30 * mebibyte},
			},
			Shared: 30 * mebibyte, Other: mebibyte, CanFree: 90 * mebibyte, Remove: "ctr --namespace sallyport images rm",
		},
	}
}

func TestWriteUsage(t *testing.T) {
	for _, tt := range []struct{ name, group, want string }{
		{"all", "", `
DISK                SIZE   FREE   SALLYPORT
/var/lib/sallyport  40GiB  12GiB  2GiB

KIND     SIZE
volumes  1.008GiB+
images   221MiB
output   50MiB
layers   20MiB
memory   16MiB
removed  2MiB
news     1MiB
state    4KiB

GROUP  TOTAL     LAYERS  OUTPUT  VOLUMES  MEMORY
shop   1.07GiB+  20MiB   51MiB   1GiB+    16MiB
old    9MiB      0B      1MiB    8MiB     0B
  it is removed; "sallyport rm --volumes old" deletes its volumes

IMAGE                 OWN     SHARED  GROUPS
web:1                 100MiB  30MiB   batch,shop
oci-archive:/a b.tar  90MiB   30MiB   -
  no group uses it; to delete it: ctr --namespace sallyport images rm 'oci-archive:/a b.tar' old@sha256:2
`},
		{"a group", "shop", `
CONTAINER  TOTAL  LAYER  OUTPUT  IMAGE
web        70MiB  20MiB  50MiB   web:1
(removed)  1MiB   0B     1MiB    -
proxy      4KiB   4KiB   0B      sha256:0123456789ab

VOLUME  SIZE   FILES  KIND
data    1GiB+  50000  persistent
spool   16MiB  3      memory

IMAGE  OWN     SHARED  GROUPS
web:1  100MiB  30MiB   batch,shop
`},
		{"a group that has nothing", "new", ""},
	} {
		u := sampleUsage()
		if tt.group != "" {
			u = usageOf(u, tt.group)
		}
		var b bytes.Buffer
		if err := writeUsage(&b, u, tt.group, func(text string) string { return text }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Callers who come while files are counted share the answer, and one who comes later has them
// counted anew.
func TestUsageSourceCountsOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan struct{})
		find := usageSource(layout.Layout{StateDir: dir, LogDir: dir, GroupsDir: dir, RunDir: dir}, disks.Sources{
			Images: func(context.Context) (host.Images, error) {
				asked++
				<-answer
				return host.Images{Shared: uint64(asked)}, nil
			},
		})
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				if got := find(t.Context()).Images.Shared; got != 1 {
					t.Errorf("a caller has answer %d", got)
				}
			})
		}
		synctest.Wait()
		close(answer)
		callers.Wait()
		if got := find(t.Context()).Images.Shared; got != 2 {
			t.Errorf("a later caller has answer %d", got)
		}
	})
}
