package keeper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Pull asks the registries what the images of a group mean by now, and applies the group's file
// again. If one of them means another image, that is a new generation, with all that Apply does. If
// none does, nothing changes. Other groups of the file keep their images. Images with
// pull = "never" are not asked for.
func (k *Keeper) Pull(ctx context.Context, name string, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	if k.knownRun(name) != nil {
		return errRun(name, "pulled for")
	}
	if err := k.Load(ctx); ctx.Err() != nil { // a file that was edited by hand a moment ago
		return err
	}
	w := k.wantedNow(name)
	if w.File == "" {
		return group.ErrNoGroup
	}
	b, ok := k.config.Store.Installed(w.File)
	if !ok {
		return &hint.Error{Err: fmt.Errorf("its file %s can't be read", w.File), Hint: "apply the file again"}
	}
	o := group.Origin{By: group.ByPull, ImageDigests: map[string]group.ImageDigests{}}
	for other, wanted := range k.allWanted() {
		if other != name && wanted.File == w.File {
			o.ImageDigests[other] = wanted.Pins
		}
	}
	if free := unlocked(&w.Group, b); len(b.Locked) > 0 && len(free) == 0 {
		return &hint.Error{
			Err:  fmt.Errorf("group %s: its lock file pins all of its images", name),
			Hint: fmt.Sprintf("sallyport lock --update %s, and apply it", b.Path),
		}
	} else if len(b.Locked) > 0 && len(free) < len(w.Group.Containers) {
		progress(fmt.Sprintf("%s: its lock file pins the other images; asked for: %s", name, strings.Join(free, ", ")))
	}
	before := w.Generation
	if err := k.apply(host.WithPull(ctx, spec.PullAlways), []group.Bundle{b}, o, progress); err != nil {
		return err
	}
	if k.wantedNow(name).Generation == before {
		progress(name + ": its images are those that its registries have, so nothing changes")
	}
	return nil
}

// unlocked returns the images of a group that no lock file pins, sorted.
func unlocked(g *spec.Group, b group.Bundle) (free []string) {
	for i := range g.Containers {
		if ref := g.Containers[i].Image; b.Locked[ref] == "" && !slices.Contains(free, ref) {
			free = append(free, ref)
		}
	}
	slices.Sort(free)
	return free
}

// PullImage asks the registry what an image's name means by now, and makes that image present. No
// group changes.
func (k *Keeper) PullImage(ctx context.Context, ref string) (host.PulledImage, error) {
	done := host.PulledImage{Image: ref}
	release, err := k.machine.Hold(ctx, ref, nil)
	if err != nil {
		return done, err
	}
	defer release()
	if k.config.Images != nil {
		if done.Before, err = k.config.Images.Resolve(ctx, ref); err != nil {
			return done, err
		}
	}
	image, err := k.machine.Image(host.WithPull(ctx, spec.PullAlways), ref, nil)
	if err != nil {
		return done, err
	}
	done.Digest = image.Digest
	for name, w := range k.allWanted() {
		if pin := w.Pins[ref]; pin != "" && pin != image.Digest {
			done.Groups = append(done.Groups, name)
		}
	}
	slices.Sort(done.Groups)
	return done, nil
}
