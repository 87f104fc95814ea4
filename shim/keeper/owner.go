package keeper

import (
	"context"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// An owner is the keeper as its runners see it.
type owner struct{ *Keeper }

// Conclude implements [runner.Owner].
func (k owner) Conclude(ctx context.Context, name string, number int, o group.Outcome, why string) error {
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

// Revert implements [runner.Owner].
func (k owner) Revert(ctx context.Context, r *runner.Runner, w store.Wanted, why error) error {
	return k.revert(ctx, r, w, why)
}

// Pin implements [runner.Owner].
func (k owner) Pin(ctx context.Context, group string, generation int, p group.ImageDigests) error {
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

// Kept implements [runner.Owner].
func (k owner) Kept(ctx context.Context, group string) ([]int, error) {
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

// Retire implements [runner.Owner]. Requests reach a runner through mu alone, so none comes between Idle
// and the end.
func (k owner) Retire(ctx context.Context, r *runner.Runner, seq int) bool {
	release, err := k.lock(ctx)
	if err != nil {
		return false
	}
	defer release()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !r.Idle(seq) {
		return false
	}
	if err := k.config.Store.Forget(r.Group()); err != nil {
		k.config.Log.Warn("forget the group: "+err.Error(), "group", r.Group())
	}
	delete(k.runners, r.Group())
	delete(k.recordedStates, r.Group()) // a later group of that name begins without a state
	return true
}
