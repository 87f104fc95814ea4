package shim

import (
	"context"
	"errors"
)

// Remove uninstalls a group's file and waits until the group is gone. The error for an unknown
// group is ErrNoGroup.
func (k *Keeper) Remove(ctx context.Context, group string, progress func(line string)) error {
	waiter := NewWaiter()
	if err := k.uninstall(ctx, group, waiter); err != nil {
		return err
	}
	return k.waitGroups(ctx, []string{group}, waiter, progress)
}

func (k *Keeper) uninstall(ctx context.Context, group string, waiter *Waiter) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	_ = k.load(nil, nil) // a group just added to the file by hand must not go with it
	err = k.config.Store.Remove(group)
	if errors.Is(err, ErrNoGroup) {
		return k.joinRemoval(group, waiter)
	}
	if err != nil {
		return err
	}
	_ = k.load(nil, map[string]*Waiter{group: waiter}) // logged, and kept for Problems
	return nil
}

// RemoveFile uninstalls a file and waits until all its groups are gone. With volumes, the contents
// of their persistent volumes are deleted too.
func (k *Keeper) RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error {
	waiter := NewWaiter()
	groups, err := k.uninstallFile(ctx, file, volumes, waiter)
	if err != nil {
		return err
	}
	return k.waitGroups(ctx, groups, waiter, progress)
}

func (k *Keeper) uninstallFile(ctx context.Context, file string, volumes bool, waiter *Waiter) ([]string, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	_ = k.load(nil, nil) // a group just added to the file by hand goes with it
	groups, err := k.config.Store.removeFile(file, volumes)
	if err != nil {
		return nil, err
	}
	waiters := map[string]*Waiter{}
	for _, group := range groups {
		waiters[group] = waiter
	}
	_ = k.load(nil, waiters) // logged, and kept for Problems
	return groups, nil
}

// joinRemoval waits for a removal in progress that has no file: that of an orphan.
func (k *Keeper) joinRemoval(group string, waiter *Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.runners[group]
	if !ok {
		return ErrNoGroup
	}
	r.Want(nil, nil, waiter)
	return nil
}
