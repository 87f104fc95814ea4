package keeper

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// Purge is Remove, and deletes the contents of the group's persistent volumes once nothing of it
// runs. This includes volumes left by a group that was removed before. If the daemon is killed
// meanwhile, the next one finishes it. The error for a group with neither a file nor volumes is
// ErrNoGroup.
func (k *Keeper) Purge(ctx context.Context, group string, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	if r := k.knownRun(group); r != nil { // it has no persistent volumes
		return k.removeRun(ctx, r)
	}
	waiter := runner.NewWaiter()
	if err := k.purge(ctx, group, waiter); err != nil {
		return err
	}
	k.reportUnwritten(progress)
	if err := k.waitGroups(ctx, []string{group}, waiter, progress); err != nil {
		return err
	}
	if err := k.endScheduled(ctx, group); err != nil {
		return err
	}
	return k.definedElsewhere(group)
}

func (k *Keeper) purge(ctx context.Context, name string, waiter *runner.Waiter) error {
	read, release, err := k.lockGroup(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	_ = k.load(loading{reading: read}) // a group just added to the file by hand must not go with it
	err = k.config.Store.Remove(name, true)
	if errors.Is(err, group.ErrNoGroup) {
		return k.purgeRest(name, waiter)
	}
	if err != nil {
		return err
	}
	_ = k.load(loading{waiters: map[string]*runner.Waiter{name: waiter}}) // logged, and kept for Problems
	return nil
}

// purgeRest deletes the volumes of a group that no file defines any more, or of one that is being
// removed.
func (k *Keeper) purgeRest(name string, waiter *runner.Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.runners[name]; !ok {
		left := filepath.Dir(k.config.Store.Layout().PersistentPath(name, "x"))
		if _, err := os.Stat(left); err != nil {
			return group.ErrNoGroup
		}
	}
	last := store.Wanted{Purge: true}
	last.Group.Name = name
	k.setWanted(name, &last, nil, nil, waiter)
	return nil
}
