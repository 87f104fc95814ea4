package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// imageHolds keep images from being removed. The zero value holds none.
type imageHolds struct {
	mu       sync.Mutex
	releases []func()
}

func (h *imageHolds) add(release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.releases = append(h.releases, release)
}

// releaseImages ends what keeps the images of the change from being removed. By then they are
// wanted, or the change has failed.
func (c *change) releaseImages() { c.holds.releaseAll() }

// releaseAll lets all of the images be removed.
func (h *imageHolds) releaseAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, release := range h.releases {
		release()
	}
	h.releases = nil
}

// resolveImages makes all images of the change present, at the same time. digests has, by group,
// the references that are fixed to a digest, independently of what they mean on the host now.
func (c *change) resolveImages(ctx context.Context, digests map[string]group.ImageDigests) error {
	type key struct{ ref, digest string }
	var mu sync.Mutex
	present := map[key]host.Image{}
	modes := map[key]spec.Pull{}
	signers := map[key][][]spec.Signer{}
	for _, group := range c.groups {
		for _, container := range group.Containers {
			wanted := key{container.Image, digests[group.Name][container.Image]}
			if len(container.SignedBy) > 0 {
				signers[wanted] = append(signers[wanted], container.SignedBy)
			}
			before, known := modes[wanted]
			if modes[wanted] = pullMode(ctx, &group, container.Image); known {
				modes[wanted] = earliest(before, modes[wanted])
			}
		}
	}
	asked := map[key]bool{}
	g, ctx := errgroup.WithContext(ctx)
	for _, group := range c.groups {
		for _, container := range group.Containers {
			wanted := key{container.Image, digests[group.Name][container.Image]}
			if asked[wanted] {
				continue
			}
			asked[wanted] = true
			g.Go(func() error {
				release, err := c.keeper.machine.Hold(ctx, wanted.ref, digests[group.Name])
				if err != nil {
					return fmt.Errorf("group %s, %s: %w", group.Name, container.Title(), err)
				}
				c.holds.add(release)
				ctx := host.WithSigners(host.WithPull(ctx, modes[wanted]), signers[wanted])
				i, err := c.keeper.machine.Image(ctx, wanted.ref, digests[group.Name])
				if err != nil {
					return fmt.Errorf("group %s, %s: %w", group.Name, container.Title(), c.lockProblem(&group, wanted.ref, wanted.digest, err))
				}
				mu.Lock()
				defer mu.Unlock()
				present[wanted] = i
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.images = map[string]map[string]host.Image{}
	for _, group := range c.groups {
		c.images[group.Name] = map[string]host.Image{}
		for _, container := range group.Containers {
			c.images[group.Name][container.Image] = present[key{container.Image, digests[group.Name][container.Image]}]
		}
	}
	return nil
}

// pullMode returns when the registry is asked for an image of a change. An operator's pull asks for
// all but those that are never asked for.
func pullMode(ctx context.Context, g *spec.Group, image string) spec.Pull {
	mode := g.PullOf(image)
	if mode == spec.PullMissing {
		mode = host.PullOf(ctx)
	}
	return mode
}

// earliest returns the one of two modes that asks the registry sooner.
func earliest(a, b spec.Pull) spec.Pull {
	for _, mode := range []spec.Pull{spec.PullAlways, spec.PullMissing} {
		if a == mode || b == mode {
			return mode
		}
	}
	return spec.PullNever
}

// resolvedDigests returns the digests that an apply of the group would record, as far as they are
// known without pulling any image.
// locked has those that a lock file pins.
func (k *Keeper) resolvedDigests(ctx context.Context, g *spec.Group, recorded, locked group.ImageDigests) group.ImageDigests {
	now := group.ImageDigests{}
	maps.Copy(now, locked)
	for i := range g.Containers {
		ref := g.Containers[i].Image
		if _, asked := now[ref]; asked || k.config.Images == nil {
			continue
		}
		if digest, err := k.config.Images.Resolve(ctx, ref); err == nil && digest != "" { // else apply reports it
			now[ref] = digest
		}
	}
	return now.Merge(g, recorded)
}

// recordedDigests returns the digests of resolved images, by group. progress may be nil. It gets a
// line for each reference whose digest differs from that in the wanted generation.
func (k *Keeper) recordedDigests(images map[string]map[string]host.Image, progress func(string)) map[string]group.ImageDigests {
	digests := map[string]group.ImageDigests{}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		digests[name] = group.DigestsOf(images[name])
		before := k.wantedNow(name).Pins
		for _, ref := range slices.Sorted(maps.Keys(digests[name])) {
			if was, now := before[ref], digests[name][ref]; progress != nil && was != "" && was != now {
				progress(fmt.Sprintf("%s: image %s is %s now, and was %s", name, ref, spec.ShortDigest(now), spec.ShortDigest(was)))
			}
		}
	}
	return digests
}
