package shim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/spec"
)

// images makes every image of the change present, all at once, and returns them by group and reference. pins has, by group, the
// references that are not to mean what they do on the host now.
func (k *Keeper) images(ctx context.Context, c change, pins map[string]Pins) (map[string]map[string]Image, error) {
	type meaning struct{ ref, pin string }
	var mu sync.Mutex
	had := map[meaning]Image{}
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
				i, err := k.host.image(ctx, m.ref, pins[group.Name])
				if err != nil {
					return fmt.Errorf("group %s, %s: %w", group.Name, target(&container), err)
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
	out := map[string]map[string]Image{}
	for _, group := range c.groups {
		out[group.Name] = map[string]Image{}
		for _, container := range group.Containers {
			out[group.Name][container.Image] = had[meaning{container.Image, pins[group.Name][container.Image]}]
		}
	}
	return out, nil
}

// meanings are the pins that an apply of the group would come to, as far as what its images are can be told without fetching any.
func (k *Keeper) meanings(ctx context.Context, g *spec.Group, pinned Pins) Pins {
	now := Pins{}
	for i := range g.Containers {
		ref := g.Containers[i].Image
		if _, asked := now[ref]; asked || k.host.holder == nil {
			continue
		}
		if digest, err := k.host.holder.Means(ctx, ref); err == nil && digest != "" { // else apply tells
			now[ref] = digest
		}
	}
	return now.of(g, pinned)
}

// pinAll are the pins of resolved images, by group. progress, which may be nil, hears of a reference that has come to mean something
// else than to the generation that is wanted.
func (k *Keeper) pinAll(images map[string]map[string]Image, progress func(string)) map[string]Pins {
	pins := map[string]Pins{}
	for _, group := range slices.Sorted(maps.Keys(images)) {
		pins[group] = pinsOf(images[group])
		before := k.wantedNow(group).Pins
		for _, ref := range slices.Sorted(maps.Keys(pins[group])) {
			if was, now := before[ref], pins[group][ref]; progress != nil && was != "" && was != now {
				progress(fmt.Sprintf("%s: image %s is %s now, and was %s", group, ref, spec.ShortDigest(now), spec.ShortDigest(was)))
			}
		}
	}
	return pins
}
