package disks

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

// Limits of [Usage].
const (
	askTime   = 5 * time.Second // for the images, and for the layers
	countTime = 5 * time.Second // for all consumers together
	leastTime = 20 * time.Millisecond
)

// Sources have what [Usage] can't find in the file system. Each may be nil.
type Sources struct {
	Layers func(context.Context) ([]host.Layer, error) // the containers' writable layers
	Images func(context.Context) (host.Images, error)
	Memory func() ([]host.Consumer, error) // volumes in memory, measured
	Groups func() []string                 // the groups that are not removed
}

// Usage returns what takes the room of an instance. It takes at most 2*askTime+countTime, unless
// the disk itself doesn't answer. Each consumer gets its share of the time, so that one with
// millions of files leaves the others theirs.
func Usage(ctx context.Context, l layout.Layout, s Sources) host.Usage {
	u := host.Usage{Disks: []host.DiskUsage{}, Consumers: []host.Consumer{}}
	unknown := func(what string, err error) {
		if err != nil {
			u.Unknown = append(u.Unknown, what+": "+err.Error())
		}
	}
	if s.Images != nil {
		asked, cancel := context.WithTimeout(ctx, askTime)
		var err error
		u.Images, err = s.Images(asked)
		cancel()
		unknown("images", err)
	}
	if u.Images.All == nil {
		u.Images.All = []host.ImageUsage{}
	}
	asked, cancel := context.WithTimeout(ctx, askTime)
	candidates, err := find(asked, l, s.Layers)
	cancel()
	unknown("files written by containers", err)
	candidates = slices.DeleteFunc(candidates, func(c candidate) bool { return c.Kind == host.RuntimeConsumer }) // Images has it
	end := time.Now().Add(countTime)
	for i, c := range candidates {
		share := max(leastTime, time.Until(end)/time.Duration(len(candidates)-i))
		counting, cancel := context.WithTimeout(ctx, share)
		c.measure(counting)
		cancel()
		u.Consumers = add(u.Consumers, c.Consumer)
	}
	if s.Memory != nil {
		inMemory, err := s.Memory()
		unknown("volumes in memory", err)
		u.Consumers = append(u.Consumers, inMemory...)
	}
	if s.Groups != nil {
		groups := s.Groups()
		for i := range u.Consumers {
			c := &u.Consumers[i]
			c.Removed = c.Removed || c.Group != "" && !slices.Contains(groups, c.Group)
		}
	}
	u.Disks = takenOf(l, u)
	slices.SortStableFunc(u.Consumers, func(a, b host.Consumer) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return u
}

// add appends c. Files with the output of one container are one consumer, whose path is the first
// one's.
func add(all []host.Consumer, c host.Consumer) []host.Consumer {
	i := slices.IndexFunc(all, func(have host.Consumer) bool {
		return c.Kind == host.OutputConsumer && have.Kind == c.Kind && have.Group == c.Group && have.Container == c.Container && have.Removed == c.Removed
	})
	if i < 0 {
		return append(all, c)
	}
	all[i].Bytes, all[i].Inodes, all[i].Partial = all[i].Bytes+c.Bytes, all[i].Inodes+c.Inodes, all[i].Partial || c.Partial
	return all
}

// takenOf returns the disks with what the instance takes of each.
func takenOf(l layout.Layout, u host.Usage) []host.DiskUsage {
	paths := folders(l)
	if u.Images.Path != "" {
		paths = append(paths, u.Images.Path)
	}
	found, devices := look(paths)
	all := make([]host.DiskUsage, 0, len(found))
	for _, d := range found {
		all = append(all, host.DiskUsage{Disk: d})
	}
	take := func(path string, bytes uint64) {
		if i := whichOf(devices, path); i >= 0 {
			all[i].Taken += bytes
		}
	}
	for _, c := range u.Consumers {
		if c.Kind != host.MemoryConsumer {
			take(c.Path, c.Bytes)
		}
	}
	images := u.Images.Shared + u.Images.Other
	for _, image := range u.Images.All {
		images += image.Own
	}
	take(u.Images.Path, images)
	return all
}
