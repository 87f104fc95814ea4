package keeper

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
)

// Stop takes a group down and keeps it down until Start, over boots and other definitions. It
// returns when nothing of the group runs. If the group is stopped already, it only makes sure of
// that. The error for an unknown group is ErrNoGroup.
func (k *Keeper) Stop(ctx context.Context, group string, progress func(line string)) error {
	return k.setStopped(ctx, group, true, progress)
}

// Start undoes Stop and waits until the group runs. It leaves a running group alone. The error for
// an unknown group is ErrNoGroup.
func (k *Keeper) Start(ctx context.Context, group string, progress func(line string)) error {
	return k.setStopped(ctx, group, false, progress)
}

func (k *Keeper) setStopped(ctx context.Context, group string, stopped bool, progress func(string)) error {
	if !stopped { // a stop works before
		if err := k.waitLoadedWith(ctx, progress); err != nil {
			return err
		}
	}
	if r := k.knownRun(group); r != nil {
		if !stopped {
			return errRun(group, "started again")
		}
		return k.stopRun(ctx, r)
	}
	waiter := runner.NewWaiter()
	if err := k.recordStopped(ctx, group, stopped, waiter); err != nil {
		return err
	}
	k.reportUnwritten(progress)
	becomes := "stays started"
	if stopped {
		becomes = "stays stopped"
	}
	if err := k.waitAccepted(ctx, []string{group}, waiter, progress, becomes); err != nil {
		return err
	}
	k.mu.Lock()
	w, ok := k.wanted[group]
	k.mu.Unlock()
	switch {
	case !stopped && !ok:
		return fmt.Errorf("group %s was removed meanwhile", group)
	case !stopped && w.Stopped:
		return &hint.Error{Err: fmt.Errorf("group %s was stopped meanwhile", group), Hint: "sallyport start " + group}
	case stopped && ok && !w.Stopped:
		return &hint.Error{Err: fmt.Errorf("group %s was started meanwhile", group), Hint: "sallyport stop " + group}
	}
	k.followSchedules()
	return nil
}

func (k *Keeper) recordStopped(ctx context.Context, group string, stopped bool, waiter *runner.Waiter) error {
	lock := k.lock
	if stopped {
		lock = k.lockKnown
	}
	release, err := lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := k.config.Store.SetStopped(group, stopped); err != nil {
		return err
	}
	if !k.hasLoaded() {
		k.stopKnown(group, waiter)
		return nil
	}
	if !stopped {
		k.startAgain(group)
	}
	_ = k.load(loading{waiters: map[string]*runner.Waiter{group: waiter}}) // logged, and kept for Problems
	return nil
}

// startAgain lets a group that has ended by itself run once more.
func (k *Keeper) startAgain(group string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.runners[group]; ok {
		r.StartAgain()
	}
}

func stoppedError(group string) error {
	return &hint.Error{Err: fmt.Errorf("group %s is stopped", group), Hint: "sallyport start " + group}
}
