package keeper

import (
	"context"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
)

// An owner is the keeper as its runners see it.
type owner struct{ *Keeper }

// RecordOutcome implements [runner.Owner].
func (k owner) RecordOutcome(ctx context.Context, name string, number int, o group.Outcome, why string) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := k.config.Store.RecordOutcome(name, number, o, why); err != nil || o != group.Proved {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[name]; ok && w.Generation == number {
		w.Proved = true
		k.wanted[name] = w
	}
	return nil
}

// RecordDigests implements [runner.Owner].
func (k owner) RecordDigests(ctx context.Context, group string, generation int, p group.ImageDigests) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := k.config.Store.Pin(group, generation, p); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[group]; ok && w.Generation == generation {
		w.Pins = w.Pins.Merge(&w.Group, p)
		k.wanted[group] = w
	}
	return nil
}

// KeptGenerations implements [runner.Owner].
func (k owner) KeptGenerations(ctx context.Context, group string) ([]int, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	all, err := k.config.Store.History(group)
	var numbers []int
	for _, g := range all {
		if g.Kept {
			numbers = append(numbers, g.Number)
		}
	}
	return numbers, err
}

// Drop implements [runner.Owner]. Requests reach a runner only under mu, so none comes between Idle
// and the end.
func (k owner) Drop(ctx context.Context, r *runner.Runner, seq int) bool {
	release, err := k.lock(ctx)
	if err != nil {
		return false
	}
	defer release()
	if !k.dropRunner(r, seq) {
		return false
	}
	if err := k.config.Store.Forget(r.Group()); err != nil {
		k.config.Log.Warn("forget the group: "+err.Error(), "group", r.Group())
	}
	k.pruneSoon()
	return true
}

func (k owner) dropRunner(r *runner.Runner, seq int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !r.Idle(seq) {
		return false
	}
	delete(k.runners, r.Group())
	delete(k.recordedStates, r.Group()) // a later group of that name begins without a state
	k.shimsSoon()
	return true
}
