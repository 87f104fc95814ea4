package runner

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
)

// Image makes an image present: the one that the reference is pinned to, or else the one it means
// on the host.
func (h Machine) Image(ctx context.Context, ref string, pins group.ImageDigests) (host.Image, error) {
	if digest, ok := pins[ref]; ok && h.images != nil {
		return h.images.Restore(ctx, ref, digest)
	}
	return h.runtime.Image(ctx, ref)
}

// recordDigests pins the references to the images that the containers were made from, where they
// are not pinned yet.
func (r *Runner) recordDigests(ctx context.Context, in plan.Input, seq int) {
	d, now := r.desiredNow()
	if now != seq || in.ToRun() == nil || in.Observed.ContainersErr != nil {
		return
	}
	p := in.FoundDigests()
	if len(p) == 0 {
		return
	}
	if err := r.owner.RecordDigests(ctx, r.group, d.generation(), p); err != nil {
		if ctx.Err() == nil {
			r.log.Warn("its image digests are not recorded for now: "+err.Error(), "group", r.group)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.desired.wanted; now != nil && now.Generation == d.generation() {
		pinned := *now // others read the old one
		pinned.Pins = now.Pins.Merge(&now.Group, p)
		r.desired.wanted = &pinned
	}
}

// retainImages retains, once for each generation, the images of the group's containers. It also
// releases the generations that can no longer be rolled back to. Images of new containers are
// retained before the containers are created. This is about containers that a new generation took
// over as they were.
func (r *Runner) retainImages(ctx context.Context, in plan.Input, seq int) {
	d, now := r.desiredNow()
	if now != seq || r.machine.images == nil || in.ToRun() == nil || in.Observed.ContainersErr != nil || r.retained == d.generation() {
		return
	}
	err := r.machine.retain(ctx, in, d.generation())
	if err == nil {
		err = r.releaseOld(ctx, d.generation())
	}
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("its images are not retained for now: "+err.Error(), "group", r.group)
		}
		return
	}
	r.retained = d.generation()
}

func (h Machine) retain(ctx context.Context, in plan.Input, generation int) error {
	for _, c := range in.Want.Containers {
		s, ok := in.Observed.Container(c.Name)
		if !ok || s.Digest != c.Digest || s.ImageDigest == "" || in.OtherImage(&c, s) {
			continue
		}
		if err := h.images.Retain(ctx, in.Group, generation, host.Image{Ref: c.Image, Digest: s.ImageDigest}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) releaseOld(ctx context.Context, current int) error {
	kept, err := r.owner.KeptGenerations(ctx, r.group)
	if err != nil {
		return err
	}
	return r.machine.release(ctx, r.group, append(kept, current)...)
}

// release releases every generation of the group except for the kept ones.
func (h Machine) release(ctx context.Context, group string, kept ...int) error {
	if h.images == nil {
		return nil
	}
	retained, err := h.images.Retained(ctx)
	if err != nil {
		return err
	}
	for _, generation := range retained[group] {
		if slices.Contains(kept, generation) {
			continue
		}
		if err := h.images.Release(ctx, group, generation); err != nil {
			return fmt.Errorf("release the images of generation %d: %w", generation, err)
		}
	}
	return nil
}

// retainedGroups returns the groups for which images are retained.
func (h Machine) retainedGroups(ctx context.Context) ([]string, error) {
	if h.images == nil {
		return nil, nil
	}
	retained, err := h.images.Retained(ctx)
	var groups []string
	for group := range retained {
		groups = append(groups, group)
	}
	return groups, err
}
