// Package prune decides which images are removed. It is pure: what it knows of the host are the
// images, and the disk that they are on.
//
// Pitfall: images share layers, so what one frees depends on those that were removed before it.
package prune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Limits are the limits of images. The zero value removes nothing.
type Limits struct {
	Unused time.Duration // how long an image stays that nothing uses. 0 means for ever.
	// Total is how many bytes all images may take. 0 means any number. With a Total, images that
	// nothing uses also give way to a disk that is nearly full.
	Total uint64
}

// A disk is nearly full while less than a tenth of it is free, and less than enough.
const enough = 8 << 30

// Lack returns how many bytes have to be freed until a disk is not nearly full any more.
func Lack(d host.Disk) uint64 {
	wanted := min(d.Size/10, enough)
	if d.Free >= wanted {
		return 0
	}
	return wanted - d.Free
}

// Plan returns the images that the limits remove, in order: first those that are unused for too
// long, then the least recently used ones, until all that is left takes no more than the total and
// the disk is not nearly full. An image is removed only if nothing uses it, nothing keeps it, and
// it is known since when. disk is the one that the images are on.
func Plan(images host.Images, l Limits, disk host.Disk, now time.Time) []host.ImageRemoval {
	var all []host.ImageUsage
	for _, i := range images.All {
		if i.Removable() && !i.Unused.IsZero() {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b host.ImageUsage) int {
		return cmp.Or(a.Unused.Compare(b.Unused), cmp.Compare(b.Own+b.Common, a.Own+a.Common), cmp.Compare(a.Digest, b.Digest))
	})
	r := newRoom(images, all)
	lack := Lack(disk)
	var removals []host.ImageRemoval
	for _, i := range all {
		why := ""
		switch {
		case l.Unused > 0 && now.Sub(i.Unused) >= l.Unused:
			why = "unused for " + age(now.Sub(i.Unused))
		case l.Total == 0 || !r.mayFree(i): // or its place would be the next one's, for nothing
		case r.taken > l.Total:
			why = fmt.Sprintf("images take %s, more than %s", sizeText(r.taken), sizeText(l.Total))
		case lack > r.freed:
			why = fmt.Sprintf("the disk of %s is nearly full", images.Path)
		}
		if why != "" {
			removals = append(removals, r.remove(i, why))
		}
	}
	return removals
}

// Unused returns the removal of every image that nothing uses and nothing keeps, the largest first.
// With byHand it also has those that others have brought and no group has used yet.
func Unused(images host.Images, byHand bool) []host.ImageRemoval {
	var all []host.ImageUsage
	for _, i := range images.All {
		if i.Removable() || byHand && len(i.Groups) == 0 && i.Kept == host.KeptByHand {
			all = append(all, i)
		}
	}
	r := newRoom(images, all)
	var removals []host.ImageRemoval
	for _, i := range all {
		removals = append(removals, r.remove(i, "no group uses it"))
	}
	return removals
}

// These returns the removal of the images with these digests, in the order of images. The caller
// has checked that nothing uses them.
func These(images host.Images, digests []string, why string) []host.ImageRemoval {
	var all []host.ImageUsage
	for _, i := range images.All {
		if slices.Contains(digests, i.Digest) {
			all = append(all, i)
		}
	}
	r := newRoom(images, all)
	var removals []host.ImageRemoval
	for _, i := range all {
		removals = append(removals, r.remove(i, why))
	}
	return removals
}

// Frees returns how many bytes removals free together.
func Frees(removals []host.ImageRemoval) (bytes uint64) {
	for _, r := range removals {
		bytes += r.Frees
	}
	return bytes
}

// age returns a duration in days, if it has some.
func age(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func sizeText(bytes uint64) string { return spec.FormatSize(int64(bytes)) }

// A room counts how much images take while some of them are removed.
type room struct {
	sizes  map[string]uint64
	users  map[string]int  // by part: how many images of those that are left have it
	needed map[string]bool // parts of images that can't be removed
	taken  uint64          // by all that are left
	freed  uint64
}

func newRoom(images host.Images, candidates []host.ImageUsage) *room {
	r := &room{sizes: images.Sizes, users: map[string]int{}, needed: map[string]bool{}}
	for _, i := range images.All {
		stays := !slices.ContainsFunc(candidates, func(c host.ImageUsage) bool { return c.Digest == i.Digest })
		for _, part := range i.Parts {
			if r.users[part]++; r.users[part] == 1 {
				r.taken += r.sizes[part]
			}
			if stays {
				r.needed[part] = true
			}
		}
	}
	return r
}

// mayFree reports whether the removal of an image can free anything, by itself or together with
// others.
func (r *room) mayFree(i host.ImageUsage) bool {
	return slices.ContainsFunc(i.Parts, func(part string) bool { return r.sizes[part] > 0 && !r.needed[part] })
}

func (r *room) remove(i host.ImageUsage, why string) host.ImageRemoval {
	removal := host.ImageRemoval{Names: i.Names, Digest: i.Digest, Why: why}
	for _, part := range i.Parts {
		if r.users[part]--; r.users[part] == 0 {
			removal.Frees += r.sizes[part]
		}
	}
	r.taken -= removal.Frees
	r.freed += removal.Frees
	return removal
}
