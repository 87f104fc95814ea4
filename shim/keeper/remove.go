package keeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
)

// Remove removes a group's file and waits until the group is gone. The error for an unknown group
// is ErrNoGroup.
func (k *Keeper) Remove(ctx context.Context, group string, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	if r := k.knownRun(group); r != nil {
		return k.removeRun(ctx, r)
	}
	waiter := runner.NewWaiter()
	if err := k.uninstall(ctx, group, waiter); err != nil {
		return err
	}
	k.reportUnwritten(progress)
	if err := k.waitAccepted(ctx, []string{group}, waiter, progress, "stays removed"); err != nil {
		return err
	}
	if err := k.endScheduled(ctx, group); err != nil {
		return err
	}
	return k.definedElsewhere(group)
}

// definedElsewhere returns an error if another file of the folder defines one of the groups too,
// now that the file which came first is gone. Such a group runs on, by that file.
func (k *Keeper) definedElsewhere(groups ...string) error {
	for _, name := range groups {
		if w := k.wantedNow(name); w.Group.Name != "" {
			return &hint.Error{
				Err:  fmt.Errorf("group %s is still there: its file is removed, and file %s defines it too", name, w.File),
				Hint: fmt.Sprintf("\"sallyport rm %s\" removes that file with its groups", w.File),
			}
		}
	}
	return nil
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
	if err := k.waitAccepted(ctx, groups, waiter, progress, "stays removed"); err != nil {
		return err
	}
	if err := k.endScheduled(ctx, groups...); err != nil {
		return err
	}
	return k.definedElsewhere(groups...)
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
