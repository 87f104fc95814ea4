package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Purge is Remove, and deletes what is in the group's persistent volumes when nothing of it runs any more, also those that are left
// of a group that was removed before. A daemon that is killed meanwhile leaves it to the next. ErrNoGroup is one that has neither.
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
	_ = k.load(nil, nil) // a group that was added to the file by hand, and that nobody has noticed yet, must not go with it
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

// purgeRest has the volumes deleted of a group that no file defines any more, or the rest of one that is being removed.
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
