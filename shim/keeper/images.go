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

// resolveImages makes all images of the change present, at the same time, and returns them by group
// and reference. pins has, by group, the references that are fixed to a digest, independently of
// what they mean on the host now.
func (k *Keeper) resolveImages(ctx context.Context, c change, pins map[string]group.ImageDigests) (map[string]map[string]host.Image, error) {
	type meaning struct{ ref, pin string }
	var mu sync.Mutex
	had := map[meaning]host.Image{}
	asked := map[meaning]bool{}
	g, ctx := errgroup.WithContext(ctx)
	for _, group := range c.groups {
		for _, container := range group.Containers {
			m := meaning{container.Image, pins[group.Name][container.Image]}
			if asked[m] {
				continue
			}
			asked[m] = true
			g.Go(func() error {
				i, err := k.machine.Image(ctx, m.ref, pins[group.Name])
				if err != nil {
					return fmt.Errorf("group %s, %s: %w", group.Name, container.Title(), err)
				}
				mu.Lock()
				defer mu.Unlock()
				had[m] = i
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := map[string]map[string]host.Image{}
	for _, group := range c.groups {
		out[group.Name] = map[string]host.Image{}
		for _, container := range group.Containers {
			out[group.Name][container.Image] = had[meaning{container.Image, pins[group.Name][container.Image]}]
		}
	}
	return out, nil
}

// resolvedDigests returns the digests that an apply of the group would record, as far as they are
// known without pulling any image.
func (k *Keeper) resolvedDigests(ctx context.Context, g *spec.Group, pinned group.ImageDigests) group.ImageDigests {
	now := group.ImageDigests{}
	for i := range g.Containers {
		ref := g.Containers[i].Image
		if _, asked := now[ref]; asked || k.config.Images == nil {
			continue
		}
		if digest, err := k.config.Images.Resolve(ctx, ref); err == nil && digest != "" { // else apply reports it
			now[ref] = digest
		}
	}
	return now.Merge(g, pinned)
}

// recordedDigests returns the digests of resolved images, by group. progress may be nil. It gets a
// line for each reference whose digest differs from that in the wanted generation.
func (k *Keeper) recordedDigests(images map[string]map[string]host.Image, progress func(string)) map[string]group.ImageDigests {
	pins := map[string]group.ImageDigests{}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		pins[name] = group.DigestsOf(images[name])
		before := k.wantedNow(name).Pins
		for _, ref := range slices.Sorted(maps.Keys(pins[name])) {
			if was, now := before[ref], pins[name][ref]; progress != nil && was != "" && was != now {
				progress(fmt.Sprintf("%s: image %s is %s now, and was %s", name, ref, spec.ShortDigest(now), spec.ShortDigest(was)))
			}
		}
	}
	return pins
}
