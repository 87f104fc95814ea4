package ctrd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/host"
)

// Labels by which containerd's garbage collector finds what content refers to. Every way to write
// an image sets them.
const (
	contentRefLabel  = "containerd.io/gc.ref.content"
	snapshotRefLabel = "containerd.io/gc.ref.snapshot."
)

// pinnedLabel and its value mark an image that no garbage collection of images removes. They are
// those of containerd's own (internal/cri/labels).
const pinnedLabel, pinnedValue = "io.cri-containerd.pinned", "pinned"

// Images returns the images on the host and the room that each takes, packed and unpacked. It asks
// containerd, which knows all sizes, and reads no folder. Unused has the last mark of
// [Client.MarkUnused], even if a group uses the image by now.
func (c *Client) Images(ctx context.Context) (_ host.Images, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = c.unanswered(fmt.Errorf("list images: %w", err))
		}
	}()
	found := host.Images{Remove: fmt.Sprintf("ctr --address %s --namespace %s images rm", c.cfg.Address, c.cfg.Layout.Namespace)}
	parts, notes, err := c.imageParts(ctx)
	if err != nil {
		return found, err
	}
	users, foreign, err := c.imageUsers(ctx)
	if err != nil {
		return found, err
	}
	if found.Path, err = c.imagesFolder(ctx); err != nil {
		return found, err
	}
	all, err := c.client.ImageService().List(ctx)
	if err != nil {
		return found, err
	}
	roots := map[string][]string{} // the names of each
	for digest := range users {
		if _, present := parts[digest]; present {
			roots[digest] = notes[digest].names
		}
	}
	kept := map[string]string{} // by digest, why
	for _, image := range all {
		digest := image.Target.Digest.String()
		if !slices.Contains(roots[digest], image.Name) {
			roots[digest] = append(roots[digest], image.Name)
		}
		ours := image.Labels[sourceLabel] != "" || slices.Contains(notes[digest].names, image.Name)
		switch {
		case image.Labels[pinnedLabel] == pinnedValue:
			kept[digest] = host.KeptPinned
		case foreign[image.Name] && kept[digest] != host.KeptPinned:
			kept[digest] = host.KeptForeign
		case !ours && kept[digest] == "":
			kept[digest] = host.KeptByHand
		}
	}
	var sizes map[string]imageSize
	sizes, found.Shared, found.Other = divide(parts, slices.Sorted(maps.Keys(roots)))
	found.Sizes = map[string]uint64{}
	for key, p := range parts {
		found.Sizes[key] = p.size
	}
	proved := c.provedKeys()
	for digest, names := range roots {
		slices.SortFunc(names, forPeople)
		found.All = append(found.All, host.ImageUsage{
			Names: names, Digest: digest, Own: sizes[digest].own, Common: sizes[digest].common, Parts: sizes[digest].parts,
			Groups: slices.Sorted(maps.Keys(users[digest])), Kept: kept[digest], Unused: notes[digest].unused, SignedBy: proved[digest],
		})
	}
	slices.SortFunc(found.All, func(a, b host.ImageUsage) int {
		return cmp.Or(cmp.Compare(b.Own, a.Own), cmp.Compare(b.Common, a.Common), cmp.Compare(a.Digest, b.Digest))
	})
	return found, nil
}

// forPeople puts the names first that have no digest.
func forPeople(a, b string) int {
	byDigest := func(name string) int { return strings.Count(name, "@") }
	return cmp.Or(cmp.Compare(byDigest(a), byDigest(b)), cmp.Compare(a, b))
}

// A part is a piece of images: packed content by its digest, or an unpacked layer by its name.
type part struct {
	size uint64
	refs []string // the parts that it needs; some may be absent
}

// A contentNote has what is written on the manifest or index of an image.
type contentNote struct {
	names  []string  // that a group has used it by
	unused time.Time // see [Client.MarkUnused]
}

// imageParts returns everything that images consist of, by digest and by [layerKey], and what is
// noted on content.
func (c *Client) imageParts(ctx context.Context) (parts map[string]part, notes map[string]contentNote, err error) {
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return nil, nil, err
	}
	parts, notes = map[string]part{}, map[string]contentNote{}
	err = c.client.ContentStore().Walk(ctx, func(i content.Info) error {
		p, note := part{size: uint64(i.Size)}, contentNote{}
		for label, value := range i.Labels {
			name, noted := strings.CutPrefix(label, retainedLabel)
			switch {
			case noted:
				note.names = append(note.names, name)
			case label == unusedLabel:
				note.unused = markedSince(value, i.CreatedAt)
			case strings.HasPrefix(label, contentRefLabel):
				p.refs = append(p.refs, value)
			case label == snapshotRefLabel+snapshotter:
				p.refs = append(p.refs, layerKey(value))
			}
		}
		parts[i.Digest.String()], notes[i.Digest.String()] = p, note
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	service := c.client.SnapshotService(snapshotter)
	var layers []snapshots.Info
	err = service.Walk(ctx, func(_ context.Context, i snapshots.Info) error {
		if i.Kind == snapshots.KindCommitted { // else containerd would count what a container has written
			layers = append(layers, i)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	known, now := c.layers.get(), map[string]uint64{}
	for _, l := range layers {
		size, ok := known[l.Name]
		if !ok {
			usage, err := service.Usage(ctx, l.Name)
			if errdefs.IsNotFound(err) {
				continue // removed meanwhile
			}
			if err != nil {
				return nil, nil, err
			}
			size = uint64(max(0, usage.Size))
		}
		now[l.Name] = size
		p := part{size: size}
		if l.Parent != "" {
			p.refs = []string{layerKey(l.Parent)}
		}
		parts[layerKey(l.Name)] = p
	}
	c.layers.set(now)
	return parts, notes, nil
}

// layerSizes are the sizes of the unpacked layers that were there at the last look, by name. A
// layer doesn't change, and containerd has a call for each.
type layerSizes struct {
	mu     sync.Mutex
	byName map[string]uint64
}

func (l *layerSizes) get() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byName
}

func (l *layerSizes) set(byName map[string]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byName = byName
}

// layerKey returns the key of an unpacked layer. No digest has its form.
func layerKey(name string) string { return "layer " + name }

// An imageSize has bytes that one image alone has, and those that others have as well.
type imageSize struct {
	own, common uint64
	parts       []string // sorted
}

// divide returns the size of each root with all that it needs. shared counts what several roots
// have in common, once, and other counts what none has.
func divide(parts map[string]part, roots []string) (sizes map[string]imageSize, shared, other uint64) {
	users := map[string]int{}
	reached := map[string]map[string]bool{}
	for _, root := range roots {
		seen := map[string]bool{}
		for next := []string{root}; len(next) > 0; {
			key := next[len(next)-1]
			next = next[:len(next)-1]
			p, present := parts[key]
			if !present || seen[key] {
				continue
			}
			seen[key] = true
			users[key]++
			next = append(next, p.refs...)
		}
		reached[root] = seen
	}
	sizes = map[string]imageSize{}
	for root, seen := range reached {
		s := imageSize{parts: slices.Sorted(maps.Keys(seen))}
		for key := range seen {
			if users[key] == 1 {
				s.own += parts[key].size
			} else {
				s.common += parts[key].size
			}
		}
		sizes[root] = s
	}
	for key, p := range parts {
		switch {
		case users[key] > 1:
			shared += p.size
		case users[key] == 0:
			other += p.size
		}
	}
	return sizes, shared, other
}

// imageUsers returns the groups that use each image, by its digest: those with a container of it,
// and those with a generation that retains it. foreign has the names of images with a container of
// others.
func (c *Client) imageUsers(ctx context.Context) (users map[string]map[string]bool, foreign map[string]bool, err error) {
	users, foreign = map[string]map[string]bool{}, map[string]bool{}
	use := func(digest, group string) {
		if digest == "" {
			return
		}
		if users[digest] == nil {
			users[digest] = map[string]bool{}
		}
		users[digest][group] = true
	}
	records, err := c.client.ContainerService().List(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range records {
		if group := r.Labels[labelGroup]; group != "" {
			use(r.Labels[labelImageDigest], group)
		} else if r.Image != "" {
			foreign[r.Image] = true
		}
	}
	service := c.client.LeasesService()
	held, err := service.List(ctx, "labels."+strconv.Quote(labelGroup))
	if err != nil {
		return nil, nil, err
	}
	for _, l := range held {
		resources, err := service.ListResources(ctx, leases.Lease{ID: l.ID})
		if errdefs.IsNotFound(err) {
			continue // released meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		for _, r := range resources {
			if r.Type == "content" {
				use(r.ID, l.Labels[labelGroup])
			}
		}
	}
	return users, foreign, nil
}

// imagesFolder returns the folder of the snapshotter, or "" if containerd doesn't name it. Packed
// content is in a folder next to it.
func (c *Client) imagesFolder(ctx context.Context) (string, error) {
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return "", err
	}
	resp, err := c.client.IntrospectionService().Plugins(ctx, "type==io.containerd.snapshotter.v1,id=="+snapshotter)
	if err != nil {
		return "", err
	}
	for _, p := range resp.Plugins {
		if p.Exports["root"] != "" {
			return p.Exports["root"], nil
		}
	}
	return "", nil
}
