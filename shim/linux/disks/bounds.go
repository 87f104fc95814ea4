package disks

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/quota"
	"github.com/sallyport/sallyport/spec"
)

const (
	// maxBounded entries are counted of one folder with a soft bound.
	maxBounded = 1_000_000
	// countShare is how much longer than a count the time to the next one is, so that counting
	// takes at most 2 % of one processor.
	countShare = 50
	// countKept is how long the count of a folder is kept that nothing looks at any more.
	countKept = time.Hour
)

// Limits are the limits of groups that need no file system. They are those of package cgroups.
type Limits interface {
	Limited(ctx context.Context, want *spec.Group) host.Presence
	Limit(ctx context.Context, want *spec.Group) error
}

// Bounds are the bounds on disk of groups. With those of root file systems it completes the limits
// of another kind. Package volumes puts those of volumes in force.
type Bounds struct {
	Limits
	layout layout.Layout
	layers func(ctx context.Context, group string) ([]host.Layer, error)
	now    func() time.Time

	mu     sync.Mutex
	counts map[string]count // by folder, of soft bounds
}

// A count has the bytes and files of a folder.
type count struct {
	bytes, files uint64
	partial      bool
	at           time.Time
	took         time.Duration
}

// NewBounds looks at nothing. layers returns the writable layers of one group's containers.
func NewBounds(l layout.Layout, limits Limits, layers func(ctx context.Context, group string) ([]host.Layer, error)) *Bounds {
	return &Bounds{Limits: limits, layout: l, layers: layers, now: time.Now, counts: map[string]count{}}
}

// Limited implements [runner.Cgroups].
func (b *Bounds) Limited(ctx context.Context, want *spec.Group) host.Presence {
	if p := b.Limits.Limited(ctx, want); p != host.Present || !want.BoundedDisk() {
		return p
	}
	all, err := b.layers(ctx, want.Name)
	if err != nil {
		return host.Unknown
	}
	for _, l := range all {
		size := diskOf(want, l)
		if size == 0 {
			continue
		}
		switch s, err := quota.Look(l.Path); {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			return host.Unknown
		case !s.Is(size):
			return host.Absent
		}
	}
	return host.Present
}

// Limit implements [runner.Cgroups].
func (b *Bounds) Limit(ctx context.Context, want *spec.Group) error {
	if err := b.Limits.Limit(ctx, want); err != nil || !want.BoundedDisk() {
		return err
	}
	all, err := b.layers(ctx, want.Name)
	if err != nil {
		return err
	}
	for _, l := range all {
		if size := diskOf(want, l); size > 0 {
			if err := BoundLayer(ctx, size, l); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// BoundLayer bounds a writable layer, if the kernel can do that.
func BoundLayer(ctx context.Context, bytes int64, l host.Layer) error {
	paths := []string{l.Path}
	if l.Work != "" {
		paths = append(paths, l.Work)
	}
	if err := quota.Bound(ctx, bytes, paths...); !errors.Is(err, quota.ErrSoft) {
		return err
	}
	return nil
}

// diskOf returns the bound on a layer. Zero is none.
func diskOf(want *spec.Group, l host.Layer) int64 {
	if c := want.Container(l.Container); c != nil {
		return c.Resources.Disk
	}
	return 0
}

// Look returns how full the bounds of a group are: those of its containers, and then those of its
// volumes, in their order. What isn't there yet is left out.
func (b *Bounds) Look(ctx context.Context, want *spec.Group) (all []host.Bound, err error) {
	var layers []host.Layer
	if want.BoundedDisk() {
		if layers, err = b.layers(ctx, want.Name); err != nil {
			return nil, err
		}
	}
	for _, c := range want.Containers {
		for _, l := range layers {
			if l.Container == c.Name && c.Resources.Disk > 0 {
				all = b.add(ctx, all, host.Bound{Container: c.Name, Path: l.Path, Size: c.Resources.Disk})
			}
		}
	}
	for _, v := range want.Volumes {
		if v.Persistent && v.Size > 0 {
			all = b.add(ctx, all, host.Bound{Volume: v.Name, Path: b.layout.PersistentPath(want.Name, v.Name), Size: v.Size})
		}
	}
	return all, nil
}

func (b *Bounds) add(ctx context.Context, all []host.Bound, x host.Bound) []host.Bound {
	s, err := quota.Look(x.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return all
	}
	if err == nil && s.Limit > 0 {
		x.Hard, x.Used, x.Files, x.At = true, s.Used, s.Files, b.now()
		return append(all, x)
	}
	x.Soft = cmp.Or(s.Why, "the kernel's is not in force yet")
	if err != nil {
		x.Soft = "its file system can't be asked: " + err.Error()
	}
	c := b.count(ctx, x.Path)
	x.Used, x.Files, x.Partial, x.At = int64(c.bytes), int64(c.files), c.partial, c.at
	return append(all, x)
}

// count counts what is in a folder, or returns the last count if another one would come too soon.
func (b *Bounds) count(ctx context.Context, path string) count {
	b.mu.Lock()
	defer b.mu.Unlock()
	began := b.now()
	if last, ok := b.counts[path]; ok && began.Sub(last.at) < countShare*last.took {
		return last
	}
	maps.DeleteFunc(b.counts, func(_ string, c count) bool { return began.Sub(c.at) > countKept })
	timed, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	c := count{at: began}
	c.bytes, c.files, c.partial = measureUpTo(timed, maxBounded, path, nil)
	c.took = b.now().Sub(began)
	if ctx.Err() == nil {
		b.counts[path] = c
	}
	return c
}
