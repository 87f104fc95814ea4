package shim

import (
	"context"
)

// An owner is the keeper as its runners see it.
type owner struct{ *Keeper }

// Conclude implements [Owner].
func (k owner) Conclude(ctx context.Context, group string, number int, o Outcome, why string) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := k.config.Store.Conclude(group, number, o, why); err != nil || o != Proved {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[group]; ok && w.Generation == number {
		w.Proved = true
		k.wanted[group] = w
	}
	return nil
}

// Revert implements [Owner].
func (k owner) Revert(ctx context.Context, r *Runner, w Wanted, why error) error {
	return k.revert(ctx, r, w, why)
}

// Pin implements [Owner].
func (k owner) Pin(ctx context.Context, group string, generation int, p ImageDigests) error {
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
		w.Pins = w.Pins.merge(&w.Group, p)
		k.wanted[group] = w
	}
	return nil
}

// Kept implements [Owner].
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

// Retire implements [Owner]. Requests reach a runner through mu alone, so none comes between Idle
// and the end.
func (k owner) Retire(ctx context.Context, r *Runner, seq int) bool {
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
