package main

import (
	"context"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestDiskText(t *testing.T) {
	const mib = 1 << 20
	full := host.Disk{Path: "/var/lib/sallyport", Size: 96 * mib, Free: 4096, Inodes: 3000, FreeInodes: 900, Full: true}
	few := host.Disk{Path: "/var/lib/sallyport", Size: 96 * mib, Free: 50 * mib, Inodes: 3000, FreeInodes: 2, Full: true}
	with := func(d host.Disk, c ...host.Consumer) host.Disk {
		d.Consumers = c
		return d
	}
	layer := host.Consumer{Kind: host.LayerConsumer, Group: "hog", Container: "app", Path: "/l", Bytes: 60 * mib, Inodes: 12, Partial: true}
	output := host.Consumer{Kind: host.OutputConsumer, Group: "hog", Container: "app", Path: "/var/log/sallyport/hog/app.log", Bytes: 3 * mib / 2, Inodes: 1}
	removed := host.Consumer{Kind: host.OutputConsumer, Group: "hog", Path: "/var/log/sallyport/.removed/hog@1", Bytes: 1 << 20, Removed: true}
	volume := host.Consumer{Kind: host.VolumeConsumer, Group: "shop", Volume: "data", Path: "/v", Bytes: 4096, Inodes: 2900}
	images := host.Consumer{Kind: host.RuntimeConsumer, Path: "/var/lib/containerd", Bytes: 30 * mib}
	state := host.Consumer{Kind: host.StateConsumer, Path: "/var/lib/sallyport", Bytes: 8192}
	for _, tt := range []struct {
		name       string
		disk       host.Disk
		text, hint string
	}{
		{"bytes", with(full, layer, images, output, state),
			"the disk of /var/lib/sallyport is full: 4KiB of 96MiB free. Largest: files written by hog.app at least 60MiB, images and the rest of /var/lib/containerd 30MiB, " +
				"output of hog.app 1.5MiB, the daemon's own files in /var/lib/sallyport 8KiB",
			`"sallyport stop hog" deletes what its containers have written outside of volumes`},
		{"inodes", with(few, volume, output),
			"the disk of /var/lib/sallyport has no room for more files: 2 of 3000 inodes free. Largest: volume data of shop 2900 files, output of hog.app 1 file",
			`"sallyport stop shop" keeps it from growing; its data is in /v`},
		{"output", with(full, output), "the disk of /var/lib/sallyport is full: 4KiB of 96MiB free. Largest: output of hog.app 1.5MiB",
			"keep what you need of it, then empty it: truncate -s 0 /var/log/sallyport/hog/app.log"},
		{"output of a removed group", with(full, removed), "the disk of /var/lib/sallyport is full: 4KiB of 96MiB free. Largest: output of the removed group hog 1MiB",
			"keep what you need of it, then delete it: rm -r /var/log/sallyport/.removed/hog@1"},
		{"images", with(full, images), "the disk of /var/lib/sallyport is full: 4KiB of 96MiB free. Largest: images and the rest of /var/lib/containerd 30MiB",
			"see what else is on this disk: du -x -d 2 /var/lib/sallyport"},
		{"nothing of ours", full, "the disk of /var/lib/sallyport is full: 4KiB of 96MiB free", ""},
	} {
		if got := diskText(tt.disk); got != tt.text {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, got, tt.text)
		}
		if got := diskHint(tt.disk); got != tt.hint {
			t.Errorf("%s: hint %q, want %q", tt.name, got, tt.hint)
		}
	}
}

// A host with space names no consumer, and asks containerd nothing.
func TestDiskSourceWithSpace(t *testing.T) {
	dir := t.TempDir()
	find := diskSource(layout.Layout{StateDir: dir, LogDir: dir, GroupsDir: dir, RunDir: dir}, func(context.Context) ([]host.Layer, error) {
		t.Error("containerd was asked")
		return nil, nil
	})
	all := find(t.Context())
	if full := fullDisks(all); len(full) > 0 {
		t.Skipf("the disk of this machine is full: %+v", full)
	}
	if len(all) != 1 || all[0].Path != dir || all[0].Size == 0 || len(all[0].Consumers) > 0 {
		t.Errorf("found %+v", all)
	}
}
