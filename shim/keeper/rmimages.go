package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/prune"
	"github.com/sallyport/sallyport/spec"
)

// byOperator is why an image is removed that an operator has named.
const byOperator = "an operator removed it"

// leastDigest is how much of a digest names an image: as much as the list of images shows.
const leastDigest = 12

// RemoveImages removes images by their names, or by their digests. An image with several names
// goes with the last one. Nothing is removed if one of them is in use or unknown. each is called
// after each removal.
func (k *Keeper) RemoveImages(ctx context.Context, names []string, each func(host.ImageRemoval)) error {
	release, err := k.pruneTurn(ctx)
	if err != nil {
		return err
	}
	defer release()
	for range pruneTries {
		again, err := k.removeNamed(ctx, names, each)
		if err != nil || !again {
			return err
		}
	}
	return groupsChange()
}

func groupsChange() error {
	return &hint.Error{Err: errors.New("groups change all the time, so it is not known what they need"), Hint: "try again when they are applied"}
}

// removeNamed is RemoveImages until something else is wanted, which it reports before it has
// removed anything. The caller has the turn.
func (k *Keeper) removeNamed(ctx context.Context, names []string, each func(host.ImageRemoval)) (again bool, err error) {
	if err := k.loadAll(ctx); err != nil {
		return false, err
	}
	loads := k.loadCount()
	found, err := k.images(ctx)
	if err != nil {
		return false, err
	}
	used, err := k.imageUsers(ctx)
	if err != nil {
		return false, err
	}
	gone := map[string][]string{} // names by digest; nil: all of them
	var whole []string            // digests
	for _, name := range names {
		image, as, err := k.findImage(found, name)
		if err != nil {
			return false, err
		}
		left := slices.DeleteFunc(slices.Clone(image.Names), func(n string) bool {
			return n == as || strings.Contains(n, "@") || slices.Contains(gone[image.Digest], n)
		})
		switch {
		case as != "" && len(left) > 0: // another name keeps it
			if groups := used[as]; len(groups) > 0 {
				return false, imageInUse(name, groups[0], k.whyUsed(ctx, groups[0], as))
			}
			gone[image.Digest] = append(gone[image.Digest], as)
			continue
		case len(image.Groups) > 0:
			return false, imageInUse(name, image.Groups[0], k.whyUsed(ctx, image.Groups[0], append(slices.Clone(image.Names), image.Digest)...))
		case image.Kept != "" && image.Kept != host.KeptByHand:
			return false, &hint.Error{Err: fmt.Errorf("image %s stays: %s", name, image.Kept), Hint: "end what has it first"}
		}
		if !slices.Contains(whole, image.Digest) {
			whole = append(whole, image.Digest)
		}
	}
	for _, digest := range whole {
		delete(gone, digest)
	}
	removals := prune.These(found, whole, byOperator)
	for _, digest := range slices.Sorted(maps.Keys(gone)) {
		removals = append(removals, host.ImageRemoval{Names: gone[digest], Digest: digest, Why: byOperator})
	}
	n := 0
	again, err = k.removeImages(ctx, removals, gone, loads, func(r host.ImageRemoval) {
		n++
		each(r)
	})
	switch {
	case err != nil || n == len(removals):
		return false, err
	case again && n == 0:
		return true, nil
	}
	return false, &hint.Error{Err: fmt.Errorf("%d of %d images are removed: the others were about to be used", n, len(removals)), Hint: "try again"}
}

// findImage returns the image that a name or a digest means. as is the name, or empty for a digest.
func (k *Keeper) findImage(found host.Images, name string) (image host.ImageUsage, as string, err error) {
	var all []host.ImageUsage
	full, sum := k.config.ImageStore.ImageName(name), strings.TrimPrefix(name, "sha256:")
	for _, i := range found.All {
		switch {
		case slices.Contains(i.Names, name):
			return i, name, nil
		case full != "" && slices.Contains(i.Names, full):
			return i, full, nil
		case len(sum) >= leastDigest && strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), sum):
			all = append(all, i)
		}
	}
	switch len(all) {
	case 0:
		return image, "", &hint.Error{Err: fmt.Errorf("there is no image %q on this host", hint.Excerpt(name, hint.Short)), Hint: "\"sallyport images\" lists them; a digest is written in full or with its first 12 letters"}
	case 1:
		return all[0], "", nil
	}
	return image, "", &hint.Error{Err: fmt.Errorf("%d images have a digest that begins with %s", len(all), sum), Hint: "write more of it"}
}

func imageInUse(name, group, why string) error {
	return &hint.Error{
		Err:  fmt.Errorf("image %s is in use: %s", name, why),
		Hint: fmt.Sprintf("remove the group first: sallyport rm %s; or apply it with another image, and the image goes when its generations do", group),
	}
}

// whyUsed returns, in words, how a group uses an image. keys are its names and its digest.
func (k *Keeper) whyUsed(ctx context.Context, name string, keys ...string) string {
	if _, run := k.runDefinitions()[name]; run {
		return "the run " + name + " has it"
	}
	named := func(g *spec.Group, digests group.ImageDigests) bool {
		for i := range g.Containers {
			ref := g.Containers[i].Image
			if slices.Contains(keys, k.config.ImageStore.ImageName(ref)) || slices.Contains(keys, digests[ref]) {
				return true
			}
		}
		return false
	}
	w := k.wantedNow(name)
	if w.File != "" && named(&w.Group, w.Pins) {
		state := ""
		if w.Stopped {
			state = ", which is stopped,"
		}
		return fmt.Sprintf("group %s%s has it (generation %d)", name, state, w.Generation)
	}
	if release, err := k.lockKnown(ctx); err == nil {
		defer release()
		all, _ := k.config.Store.History(name)
		for _, g := range all {
			d, err := k.config.Store.Definition(name, g.Number)
			if g.Kept && err == nil && named(&d.Group, g.ImageDigests) {
				return fmt.Sprintf("group %s can go back to generation %d, which has it", name, g.Number)
			}
		}
	}
	return "a container of group " + name + " has it"
}
