package keeper

import (
	"context"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/spec"
)

// Preview returns what Apply would do, without changing or pulling anything. Before the group files
// have been loaded, it compares with what was wanted last. There is one entry per
// group that the files define, then one per group that a file defines now and would no longer
// define.
func (k *Keeper) Preview(ctx context.Context, files []group.Bundle) ([]group.Preview, error) {
	if err := k.waitKnown(ctx); err != nil {
		return nil, err
	}
	c, err := k.read(ctx, files)
	if err != nil {
		return nil, err
	}
	var out []group.Preview
	for i := range c.groups {
		g := &c.groups[i]
		p, err := k.preview(ctx, g.Name, g, c.locked(nil)[g.Name])
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	for _, name := range c.leaves {
		p, err := k.preview(ctx, name, nil, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (k *Keeper) preview(ctx context.Context, name string, want *spec.Group, locked group.ImageDigests) (group.Preview, error) {
	in := plan.Input{Group: name, Want: want, AssumeReady: true, Now: k.config.Now(), Layout: k.config.Store.Layout()}
	if w := k.wantedNow(name); w.Group.Name != "" {
		in.Previous, in.Stopped = &w.Group, want != nil && w.Stopped
		in.Digests = w.Pins
		if want != nil && want.Digest == w.Group.Digest {
			in.Ended, in.EndedErr = k.config.Store.Ended(name, w.Generation)
		}
	}
	if want != nil {
		now := k.resolvedDigests(ctx, want, in.Digests, locked)
		if now.Differ(in.Digests) { // another generation, which has not ended
			in.Ended = nil
		}
		in.Digests = now
	}
	in.Observed = k.machine.Observe(ctx, name, in.ToRun())
	unknown := in.Observed.Unknown(want)
	if want != nil && unknown == nil {
		if err := k.checkImages(ctx, want, in.Digests); err != nil {
			return group.Preview{}, err
		}
	}
	if lives, err := k.config.Store.Restarts(name); err == nil && !in.Observed.FromNothing() {
		in.Observed = in.Observed.Restored(lives)
	}
	p := group.Preview{Group: name, Steps: plan.Texts(plan.Steps(in)), Replaces: plan.Replaced(in), Changes: plan.LiveChanges(in)}
	p.Differs = diff.Groups(in.Previous, want)
	p.Opens, p.Closes = reach.Difference(in.Previous, want)
	if want != nil {
		p.Unsafe = reach.Unsafe(want)
	}
	if want != nil && len(p.Steps) > 0 {
		p.Image = k.imageNotes(ctx, want, in.Digests)
		if k.config.Devices != nil {
			p.Devices = k.config.Devices.DeviceNotes(want)
		}
		p.Publish = k.publishNotes(in)
	}
	if in.Ended != nil && !in.Stopped {
		p.Ended = in.Ended.UnchangedText(want)
	}
	if want != nil {
		p.Schedule = k.nextText(want)
	}
	p.Error = hint.Text(unknown)
	return p, nil
}

// Offline is Preview without a host: it returns the steps that bring each group up on a host that
// has nothing of it.
func Offline(l layout.Layout, groups []spec.Group) []group.Preview {
	var out []group.Preview
	for i := range groups {
		p := group.Preview{Group: groups[i].Name, Steps: plan.Texts(plan.Steps(plan.Input{Want: &groups[i], AssumeReady: true, Observed: plan.Nothing(), Layout: l}))}
		p.Opens, p.Closes = reach.Difference(nil, &groups[i])
		p.Unsafe = reach.Unsafe(&groups[i])
		if groups[i].Schedule != nil {
			p.Schedule = "runs at " + groups[i].Schedule.Text()
		}
		out = append(out, p)
	}
	return out
}
