package host_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim/host"
)

func TestDiskLacks(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name          string
		disk          host.Disk
		bytes, inodes bool
	}{
		{"space", host.Disk{Size: 100 * gib, Free: 50 * gib, Inodes: 1000, FreeInodes: 500}, false, false},
		{"no bytes", host.Disk{Size: 100 * gib, Inodes: 1000, FreeInodes: 500}, true, false},
		{"one GiB of a small disk", host.Disk{Size: 10 * gib, Free: gib}, false, false},
		{"half a GiB of a large disk", host.Disk{Size: 100 * gib, Free: gib / 2}, true, false},
		{"half of a tiny disk", host.Disk{Size: gib / 64, Free: gib / 128}, false, false},
		{"less than 1 %, and still much", host.Disk{Size: 10_000 * gib, Free: 50 * gib, Inodes: 1000, FreeInodes: 5}, false, true},
		{"neither", host.Disk{Size: gib, Inodes: 1000}, true, true},
		{"no fixed number of inodes", host.Disk{Size: gib, Free: gib}, false, false},
	} {
		if got := tt.disk.LacksBytes(); got != tt.bytes {
			t.Errorf("%s: lacks bytes: %v", tt.name, got)
		}
		if got := tt.disk.LacksInodes(); got != tt.inodes {
			t.Errorf("%s: lacks inodes: %v", tt.name, got)
		}
		if got, want := tt.disk.FewFiles(), tt.inodes && !tt.bytes; got != want {
			t.Errorf("%s: few files: %v", tt.name, got)
		}
	}
}
