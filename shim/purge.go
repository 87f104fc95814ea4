package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Purge is Remove, and deletes the contents of the group's persistent volumes once nothing of it
// runs. This includes volumes left by a group that was removed before. If the daemon is killed
// meanwhile, the next one finishes it. The error for a group with neither a file nor volumes is
// ErrNoGroup.
func (k *Keeper) Purge(ctx context.Context, group string, progress func(line string)) error {
	waiter := NewWaiter()
	if err := k.purge(ctx, group, waiter); err != nil {
		return err
	}
	return k.waitGroups(ctx, []string{group}, waiter, progress)
}

func (k *Keeper) purge(ctx context.Context, group string, waiter *Waiter) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	_ = k.load(nil, nil) // a group just added to the file by hand must not go with it
	err = k.config.Store.remove(group, true)
	if errors.Is(err, ErrNoGroup) {
		return k.purgeRest(group, waiter)
	}
	if err != nil {
		return err
	}
	_ = k.load(nil, map[string]*Waiter{group: waiter}) // logged, and kept for Problems
	return nil
}

// purgeRest deletes the volumes of a group that no file defines any more, or of one that is being
// removed.
func (k *Keeper) purgeRest(group string, waiter *Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.runners[group]; !ok {
		left := filepath.Dir(k.config.Store.Layout().PersistentPath(group, "x"))
		if _, err := os.Stat(left); err != nil {
			return ErrNoGroup
		}
	}
	last := Wanted{Purge: true}
	last.Group.Name = group
	k.setWanted(group, &last, nil, nil, waiter)
	return nil
}
