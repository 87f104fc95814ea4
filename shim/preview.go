package shim

import (
	"context"

	"github.com/sallyport/sallyport/spec"
)

// Preview returns what Apply would do, without changing or pulling anything. There is one entry per
// group that the files define, then one per group that a file defines now and would no longer
// define.
func (k *Keeper) Preview(ctx context.Context, files []Bundle) ([]Preview, error) {
	if err := k.waitLoaded(ctx); err != nil {
		return nil, err
	}
	c, err := k.read(files)
	if err != nil {
		return nil, err
	}
	var out []Preview
	for i := range c.groups {
		g := &c.groups[i]
		out = append(out, k.preview(ctx, g.Name, g))
	}
	for _, name := range c.leaves {
		out = append(out, k.preview(ctx, name, nil))
	}
	return out, nil
}

func (k *Keeper) preview(ctx context.Context, group string, want *spec.Group) Preview {
	in := PlanInput{Group: group, Want: want, Assume: true, Now: k.config.Now(), Layout: k.config.Store.Layout()}
	k.mu.Lock()
	if w, ok := k.wanted[group]; ok {
		in.Was, in.Stopped = &w.Group, want != nil && w.Stopped
		in.Pins = w.Pins
		if want != nil && want.Digest == w.Group.Digest {
			in.Ended, in.EndedErr = k.config.Store.Ended(group, w.Generation)
		}
	}
	k.mu.Unlock()
	if want != nil {
		now := k.resolvedDigests(ctx, want, in.Pins)
		if now.differ(in.Pins) { // another generation, which has not ended
			in.Ended = nil
		}
		in.Pins = now
	}
	in.Observed = k.machine.Observe(ctx, group, in.ToRun())
	if lives, err := k.config.Store.Lives(group); err == nil && !in.Observed.Begins() {
		in.Observed = in.Observed.Recalled(lives)
	}
	p := Preview{Group: group, Steps: Texts(Plan(in))}
	p.Opens, p.Closes = Difference(in.Was, want)
	if want != nil {
		p.Unsafe = UnsafeTexts(want)
	}
	if in.Ended != nil && !in.Stopped {
		p.Ended = in.Ended.unchanged(want)
	}
	p.Error = errorText(in.Observed.Unknown(want))
	return p
}

// Offline is Preview without a host: it returns the steps that bring each group up on a host that
// has nothing of it.
func Offline(l Layout, groups []spec.Group) []Preview {
	var out []Preview
	for i := range groups {
		p := Preview{Group: groups[i].Name, Steps: Texts(Plan(PlanInput{Want: &groups[i], Assume: true, Observed: Nothing(), Layout: l}))}
		p.Opens, p.Closes = Difference(nil, &groups[i])
		p.Unsafe = UnsafeTexts(&groups[i])
		out = append(out, p)
	}
	return out
}
