package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
)

// Image makes an image present: the one with the recorded digest of the reference, or else the one
// that the reference means on the host.
func (m Machine) Image(ctx context.Context, ref string, digests group.ImageDigests) (host.Image, error) {
	if digest, ok := digests[ref]; ok && m.images != nil {
		return m.images.Restore(ctx, ref, digest)
	}
	return m.runtime.Image(ctx, ref)
}

// Hold keeps the image that Image makes present from being removed until release is called.
func (m Machine) Hold(ctx context.Context, ref string, digests group.ImageDigests) (release func(), err error) {
	if m.images == nil {
		return func() {}, nil
	}
	return m.images.Hold(ctx, ref, digests[ref])
}

// recordDigests records the digests of the images that the containers were made from, for the
// references that have none yet.
func (r *Runner) recordDigests(ctx context.Context, in plan.Input, seq int) {
	d, now := r.desiredNow()
	if now != seq || in.ToRun() == nil || in.Observed.ContainersErr != nil {
		return
	}
	found := in.FoundDigests()
	if len(found) == 0 {
		return
	}
	if err := r.owner.RecordDigests(ctx, r.group, d.generation(), found); err != nil {
		if ctx.Err() == nil {
			r.log.Warn("its image digests are not recorded for now: "+err.Error(), "group", r.group)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.desired.wanted; now != nil && now.Generation == d.generation() {
		merged := *now // others read the old one
		merged.Pins = now.Pins.Merge(&now.Group, found)
		r.desired.wanted = &merged
	}
}

// A retention has the images that this runner has retained for one generation.
type retention struct {
	mu         sync.Mutex
	generation int
	images     map[host.Image]bool // without their names
}

// retain retains an image for a generation, once.
func (r *Runner) retain(ctx context.Context, generation int, image host.Image) error {
	if r.machine.images == nil {
		return nil
	}
	t := &r.retention
	t.mu.Lock() // also while containerd is asked: all containers of the image are created at once
	defer t.mu.Unlock()
	if t.generation != generation || t.images == nil {
		t.generation, t.images = generation, map[host.Image]bool{}
	}
	image.Name = "" // only some callers know it
	if t.images[image] {
		return nil
	}
	if err := r.machine.images.Retain(ctx, r.group, generation, image); err != nil {
		return err
	}
	t.images[image] = true
	return nil
}

// forget makes the next call of retain ask the host again.
func (t *retention) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.images = nil
}

// retainedImage returns a function that makes an image present, as [desired.image], and retains it.
// So the image is not collected while a container of it is made.
func (r *Runner) retainedImage(d desired) imageSource {
	image := d.image(r.machine)
	return func(ctx context.Context, ref string) (host.Image, error) {
		release, err := r.machine.Hold(ctx, ref, d.digests())
		if err != nil {
			return host.Image{}, err
		}
		defer release()
		i, err := image(ctx, ref)
		if err != nil {
			return i, err
		}
		return i, r.retain(ctx, d.generation(), i)
	}
}

// retainEarly returns what retainedImage does. The images of the containers that the steps create
// are retained from now on, beside the steps before that, if the last apply has resolved them. end
// waits for that. containerd syncs its database for each, while the network is made.
func (r *Runner) retainEarly(ctx context.Context, d desired, steps []plan.Step) (images imageSource, end func()) {
	begun := map[string]func() (host.Image, error){} // by reference
	retained := r.retainedImage(d)
	var all sync.WaitGroup
	for _, s := range steps {
		if s.Kind != plan.Create || r.machine.images == nil {
			continue
		}
		for _, t := range s.Targets {
			ref := s.Want.Container(t.Name).Image
			if _, ok := d.resolved(ref); !ok || begun[ref] != nil {
				continue
			}
			retain := sync.OnceValues(func() (host.Image, error) { return retained(ctx, ref) })
			begun[ref] = retain
			all.Go(func() { _, _ = retain() }) // the step tries again
		}
	}
	images = func(ctx context.Context, ref string) (host.Image, error) {
		if retain := begun[ref]; retain != nil {
			if i, err := retain(); err == nil {
				return i, nil
			}
			// The steps before this one may have taken minutes.
		}
		return retained(ctx, ref)
	}
	return images, func() {
		defer r.progress.leave()()
		all.Wait()
	}
}

// retainRecorded retains the images that an apply has resolved and recorded for the wanted
// generation. Without it nothing keeps those of a group that is stopped, or that can't be built for
// now: there are no containers of them yet.
func (r *Runner) retainRecorded(ctx context.Context, d desired, seq int) {
	if _, now := r.desiredNow(); now != seq || r.machine.images == nil || r.retained == d.generation() {
		return
	}
	defer r.progress.leave()()
	for ref, digest := range d.digests() {
		if d.images[ref].Digest != digest {
			continue
		}
		if err := r.retain(ctx, d.generation(), host.Image{Ref: ref, Digest: digest}); err != nil {
			r.warnRetain(ctx, err)
			return
		}
	}
}

func (r *Runner) warnRetain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.log.Warn("its images are not retained for now: "+err.Error(), "group", r.group)
	}
}

// retainImages retains the images of the group's containers, once for each generation. It also
// releases the generations that can no longer be rolled back to. Images of new containers are
// retained before the containers are created. So this is about the containers that a new generation
// took over as they were, and about those that are not created yet.
func (r *Runner) retainImages(ctx context.Context, in plan.Input, seq int) {
	d, now := r.desiredNow()
	r.retainRecorded(ctx, d, seq)
	if now != seq || r.machine.images == nil || in.ToRun() == nil || in.Observed.ContainersErr != nil || r.retained == d.generation() {
		return
	}
	err := r.retainFound(ctx, in, d.generation())
	if err == nil {
		err = r.releaseOld(ctx, d.generation())
	}
	if err != nil {
		r.warnRetain(ctx, err)
		return
	}
	r.retained = d.generation()
}

// retainFound retains the images that the containers were made from, for a generation.
func (r *Runner) retainFound(ctx context.Context, in plan.Input, generation int) error {
	defer r.progress.leave()()
	for _, c := range in.Want.Containers {
		s, ok := in.Observed.Container(c.Name)
		if !ok || s.Digest != c.Digest || s.ImageDigest == "" || in.OtherImage(&c, s) {
			continue
		}
		if err := r.retain(ctx, generation, host.Image{Ref: c.Image, Digest: s.ImageDigest}); err != nil {
			return err
		}
	}
	return nil
}

// releaseOld releases the generations that can no longer be rolled back to.
func (r *Runner) releaseOld(ctx context.Context, current int) error {
	kept, err := r.owner.KeptGenerations(ctx, r.group)
	if err != nil {
		return err
	}
	return r.machine.release(ctx, r.group, append(kept, current)...)
}

// release releases every generation of the group except for the kept ones.
func (m Machine) release(ctx context.Context, group string, kept ...int) error {
	if m.images == nil {
		return nil
	}
	defer m.progress.leave()()
	retained, err := m.images.Retained(ctx)
	if err != nil {
		return err
	}
	for _, generation := range retained[group] {
		if slices.Contains(kept, generation) {
			continue
		}
		if err := m.images.Release(ctx, group, generation); err != nil {
			return fmt.Errorf("release the images of generation %d: %w", generation, err)
		}
	}
	return nil
}

// retainedGroups returns the groups for which images are retained.
func (m Machine) retainedGroups(ctx context.Context) ([]string, error) {
	if m.images == nil {
		return nil, nil
	}
	retained, err := m.images.Retained(ctx)
	var groups []string
	for group := range retained {
		groups = append(groups, group)
	}
	return groups, err
}
