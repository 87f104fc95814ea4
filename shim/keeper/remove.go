package keeper

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
)

// Remove removes a group's file and waits until the group is gone. The error for an unknown group
// is ErrNoGroup.
func (k *Keeper) Remove(ctx context.Context, group string, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	waiter := runner.NewWaiter()
	if err := k.uninstall(ctx, group, waiter); err != nil {
		return err
	}
	k.reportUnwritten(progress)
	return k.waitAccepted(ctx, []string{group}, waiter, progress, "stays removed")
}

func (k *Keeper) uninstall(ctx context.Context, name string, waiter *runner.Waiter) error {
	read, release, err := k.lockGroup(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	_ = k.load(loading{reading: read}) // a group just added to the file by hand must not go with it
	err = k.config.Store.Remove(name, false)
	if errors.Is(err, group.ErrNoGroup) {
		return k.joinRemoval(name, waiter)
	}
	if err != nil {
		return err
	}
	_ = k.load(loading{waiters: map[string]*runner.Waiter{name: waiter}}) // logged, and kept for Problems
	return nil
}

// RemoveFile removes a file and waits until all its groups are gone. With volumes, the contents
// of their persistent volumes are deleted too.
func (k *Keeper) RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	waiter := runner.NewWaiter()
	groups, err := k.uninstallFile(ctx, file, volumes, waiter)
	if err != nil {
		return err
	}
	k.reportUnwritten(progress)
	return k.waitAccepted(ctx, groups, waiter, progress, "stays removed")
}

func (k *Keeper) uninstallFile(ctx context.Context, file string, volumes bool, waiter *runner.Waiter) ([]string, error) {
	read, release, err := k.lockRead(ctx, file)
	if err != nil {
		return nil, err
	}
	defer release()
	_ = k.load(loading{reading: read}) // a group just added to the file by hand goes with it
	groups, err := k.config.Store.RemoveFile(file, volumes)
	if err != nil {
		return nil, err
	}
	waiters := map[string]*runner.Waiter{}
	for _, group := range groups {
		waiters[group] = waiter
	}
	_ = k.load(loading{waiters: waiters}) // logged, and kept for Problems
	return groups, nil
}

// joinRemoval lets waiter wait for a removal in progress without a file: that of an orphan.
func (k *Keeper) joinRemoval(name string, waiter *runner.Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.runners[name]
	if !ok {
		return group.ErrNoGroup
	}
	r.Want(nil, nil, waiter)
	return nil
}
