// Package disks finds what fills the disks of an instance.
//
// Pitfall: containers choose what is in their layers and volumes. Nothing there is opened or
// followed but folders, and counting ends after a number of entries and a time.
package disks

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

const (
	maxEntries   = 50_000          // that are counted of one consumer
	maxTime      = 3 * time.Second // for all consumers together
	maxConsumers = 5               // that are returned of a disk
)

// Find returns the disks of an instance. It looks for what fills them if one is full, for maxTime
// at most. layers returns the containers' writable layers. It may be nil.
func Find(ctx context.Context, l layout.Layout, layers func(context.Context) ([]host.Layer, error)) []host.Disk {
	disks, devices := look(folders(l))
	if !slices.ContainsFunc(disks, func(d host.Disk) bool { return d.Full }) {
		return disks
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	for _, c := range consumers(ctx, l, layers) {
		if i := whichOf(devices, c.Path); i >= 0 && disks[i].Full {
			disks[i].Consumers = append(disks[i].Consumers, c)
		}
	}
	for i := range disks {
		disks[i].Consumers = largest(disks[i])
	}
	return disks
}

// folders returns the folders of an instance that may be on disks of their own.
func folders(l layout.Layout) []string {
	return []string{l.StateDir, l.LogDir, l.GroupsDir, l.RunDir}
}

// look returns the disks that have the paths, each once, and their devices.
func look(paths []string) (disks []host.Disk, devices []uint64) {
	for _, path := range paths {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || slices.Contains(devices, st.Dev) {
			continue
		}
		if d, ok := lookAt(path); ok {
			disks, devices = append(disks, d), append(devices, st.Dev)
		}
	}
	return disks, devices
}

// whichOf returns which of the devices has a path. It is -1 if none has it. A file counts as its
// folder: overlayfs gives files the devices of the file systems below it.
func whichOf(devices []uint64, path string) int {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return -1
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR && unix.Stat(filepath.Dir(path), &st) != nil {
		return -1
	}
	return slices.Index(devices, st.Dev)
}

// Of returns the disk that has the path. It is the zero value if that is not known.
func Of(path string) host.Disk {
	d, _ := lookAt(path)
	return d
}

func lookAt(path string) (host.Disk, bool) {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil || st.Blocks == 0 {
		return host.Disk{}, false
	}
	block := uint64(st.Frsize)
	d := host.Disk{Path: path, Size: st.Blocks * block, Free: st.Bavail * block, Inodes: st.Files, FreeInodes: st.Ffree}
	d.Full = d.LacksBytes() || d.LacksInodes()
	return d, true
}

// largest returns the consumers that take most of what the disk lacks.
func largest(d host.Disk) []host.Consumer {
	slices.SortStableFunc(d.Consumers, func(a, b host.Consumer) int {
		if d.FewFiles() {
			return cmp.Compare(b.Inodes, a.Inodes)
		}
		return cmp.Compare(b.Bytes, a.Bytes)
	})
	return d.Consumers[:min(len(d.Consumers), maxConsumers)]
}

// A candidate is a consumer that is not measured yet.
type candidate struct {
	host.Consumer
	without []string // folders that belong to others
}

func (c *candidate) measure(ctx context.Context) {
	c.Bytes, c.Inodes, c.Partial = measure(ctx, c.Path, c.without)
}

// consumers measures everything that may fill a disk, what containers write first.
func consumers(ctx context.Context, l layout.Layout, layers func(context.Context) ([]host.Layer, error)) (all []host.Consumer) {
	asked, cancel := context.WithTimeout(ctx, maxTime/3)
	candidates, _ := find(asked, l, layers) // without an answer, the layers count as containerd's
	cancel()
	for _, c := range candidates {
		c.measure(ctx)
		all = append(all, c.Consumer)
	}
	return all
}

// find lists everything that may fill a disk, what containers write first. The error is that of
// layers, which gets ctx; the rest is listed all the same.
func find(ctx context.Context, l layout.Layout, layers func(context.Context) ([]host.Layer, error)) (all []candidate, err error) {
	add := func(c host.Consumer, without ...string) { all = append(all, candidate{c, without}) }
	for _, path := range glob(l.LogDir, "*", "[^.]*") {
		add(outputAt(path))
	}
	runtimes := []string{filepath.Join(l.StateDir, "containerd")} // a private one
	var layerPaths []string
	if layers != nil {
		var found []host.Layer
		found, err = layers(ctx)
		for _, layer := range found {
			add(host.Consumer{Kind: host.LayerConsumer, Group: layer.Group, Container: layer.Container, Image: layer.Image, Path: layer.Path})
			layerPaths = append(layerPaths, layer.Path)
			// Such as /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/7/fs.
			if root, _, ok := strings.Cut(layer.Path, "/io.containerd."); ok && !slices.Contains(runtimes, root) {
				runtimes = append(runtimes, root)
			}
		}
	}
	volumes := filepath.Dir(filepath.Dir(l.PersistentPath("x", "y")))
	for _, path := range glob(volumes, "*", "*") {
		add(host.Consumer{Kind: host.VolumeConsumer, Group: filepath.Base(filepath.Dir(path)), Volume: filepath.Base(path), Path: path})
	}
	add(host.Consumer{Kind: host.StateConsumer, Path: l.StateDir}, append(runtimes, volumes, l.LogDir, l.RunDir)...)
	for _, path := range runtimes {
		add(host.Consumer{Kind: host.RuntimeConsumer, Path: path}, layerPaths...)
	}
	return all, err
}

// outputAt returns the consumer for a file of output, or for a folder with that of a removed group.
// A container's name has no dot.
func outputAt(path string) host.Consumer {
	folder, base := filepath.Base(filepath.Dir(path)), filepath.Base(path)
	c := host.Consumer{Kind: host.OutputConsumer, Group: folder, Path: path}
	if folder == layout.RemovedOutput {
		c.Group, _, _ = strings.Cut(base, "@")
		c.Removed = true
		return c
	}
	c.Container, _, _ = strings.Cut(base, ".")
	return c
}

// glob returns the paths that match below a folder, whose own name may have any characters.
func glob(folder string, patterns ...string) (paths []string) {
	names, _ := fs.Glob(os.DirFS(folder), filepath.Join(patterns...))
	for _, name := range names {
		paths = append(paths, filepath.Join(folder, name))
	}
	return paths
}
