package shim

import (
	"context"
	"fmt"
	"slices"
)

// image makes an image present: what the reference is pinned to, and else what it means on the host.
func (h Machine) Image(ctx context.Context, ref string, pins ImageDigests) (Image, error) {
	if digest, ok := pins[ref]; ok && h.images != nil {
		return h.images.Restore(ctx, ref, digest)
	}
	return h.runtime.Image(ctx, ref)
}

// pinImages pins what the containers of seq have been made from, where nothing is pinned yet.
func (r *Runner) recordDigests(ctx context.Context, in PlanInput, seq int) {
	d, now := r.desiredNow()
	if now != seq || in.toRun() == nil || in.Observed.ContainersErr != nil {
		return
	}
	p := in.foundDigests()
	if len(p) == 0 {
		return
	}
	if err := r.owner.Pin(ctx, r.group, d.generation(), p); err != nil {
		if ctx.Err() == nil {
			r.log.Warn("what its images are is not written down for now: "+err.Error(), "group", r.group)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.desired.wanted; now != nil && now.Generation == d.generation() {
		pinned := *now // others read the old one
		pinned.Pins = now.Pins.merge(&now.Group, p)
		r.desired.wanted = &pinned
	}
}

// holdImages holds, once for each generation, what the group's containers are made from, and lets go of the generations that
// can't be gone back to any more. New containers have theirs held before they are created; here it is about those that a new
// generation has taken over as they were.
func (r *Runner) retainImages(ctx context.Context, in PlanInput, seq int) {
	d, now := r.desiredNow()
	if now != seq || r.machine.images == nil || in.toRun() == nil || in.Observed.ContainersErr != nil || r.retained == d.generation() {
		return
	}
	err := r.machine.retain(ctx, in, d.generation())
	if err == nil {
		err = r.releaseOld(ctx, d.generation())
	}
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("images are not held for now: "+err.Error(), "group", r.group)
		}
		return
	}
	r.retained = d.generation()
}

func (h Machine) retain(ctx context.Context, in PlanInput, generation int) error {
	for _, c := range in.Want.Containers {
		s, ok := in.Observed.container(c.Name)
		if !ok || s.Digest != c.Digest || s.ImageDigest == "" || in.otherImage(&c, s) {
			continue
		}
		if err := h.images.Retain(ctx, in.Group, generation, Image{Ref: c.Image, Digest: s.ImageDigest}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) releaseOld(ctx context.Context, current int) error {
	kept, err := r.owner.Kept(ctx, r.group)
	if err != nil {
		return err
	}
	return r.machine.release(ctx, r.group, append(kept, current)...)
}

// release lets go of every generation of the group but those that are kept.
func (h Machine) release(ctx context.Context, group string, kept ...int) error {
	if h.images == nil {
		return nil
	}
	held, err := h.images.Retained(ctx)
	if err != nil {
		return err
	}
	for _, generation := range held[group] {
		if slices.Contains(kept, generation) {
			continue
		}
		if err := h.images.Release(ctx, group, generation); err != nil {
			return fmt.Errorf("let go of the images of generation %d: %w", generation, err)
		}
	}
	return nil
}

// heldGroups lists the groups for which images are held.
func (h Machine) retainedGroups(ctx context.Context) ([]string, error) {
	if h.images == nil {
		return nil, nil
	}
	held, err := h.images.Retained(ctx)
	var groups []string
	for group := range held {
		groups = append(groups, group)
	}
	return groups, err
}
