package shim

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoContainer is the error for a container that its group does not have.
var ErrNoContainer = errors.New("no such container")

// Remove uninstalls a group's file and waits until the group is gone. An unknown group is ErrNoGroup.
func (k *Keeper) Remove(ctx context.Context, group string, progress func(line string)) error {
	f := NewWaiter()
	if err := k.uninstall(ctx, group, f); err != nil {
		return err
	}
	return k.follow(ctx, []string{group}, f, progress)
}

func (k *Keeper) uninstall(ctx context.Context, group string, f *Waiter) error {
	release, err := k.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	_ = k.load(nil, nil) // a group that was added to the file by hand, and that nobody has noticed yet, must not go with it
	err = k.config.Store.Remove(group)
	if errors.Is(err, ErrNoGroup) {
		return k.joinRemoval(group, f)
	}
	if err != nil {
		return err
	}
	_ = k.load(nil, map[string]*Waiter{group: f}) // logged, and kept for Problems
	return nil
}

// RemoveFile uninstalls a file and waits until all the groups that it has are gone; with volumes, what is in their persistent ones
// goes too.
func (k *Keeper) RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error {
	f := NewWaiter()
	groups, err := k.uninstallFile(ctx, file, volumes, f)
	if err != nil {
		return err
	}
	return k.follow(ctx, groups, f, progress)
}

func (k *Keeper) uninstallFile(ctx context.Context, file string, volumes bool, f *Waiter) ([]string, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	_ = k.load(nil, nil) // a group that was added to the file by hand, and that nobody has noticed yet, goes with it
	groups, err := k.config.Store.removeFile(file, volumes)
	if err != nil {
		return nil, err
	}
	feeds := map[string]*Waiter{}
	for _, group := range groups {
		feeds[group] = f
	}
	_ = k.load(nil, feeds) // logged, and kept for Problems
	return groups, nil
}

// joinRemoval follows a removal that is under way without a file: an orphan's.
func (k *Keeper) joinRemoval(group string, f *Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.runners[group]
	if !ok {
		return ErrNoGroup
	}
	r.Want(nil, nil, f)
	return nil
}

// Restart stops and starts one container, or with "" the whole group's containers in order, and waits until they run.
// ErrNoGroup and ErrNoContainer tell what there is not.
func (k *Keeper) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	if err := k.await(ctx); err != nil {
		return err
	}
	f := NewWaiter()
	if err := k.restart(group, container, f); err != nil {
		return err
	}
	return k.follow(ctx, []string{group}, f, progress)
}

func (k *Keeper) restart(group, container string, f *Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w, ok := k.wanted[group]
	r := k.runners[group]
	if !ok || r == nil {
		return ErrNoGroup
	}
	if w.Stopped {
		return isStopped(group)
	}
	var names []string
	for _, c := range w.Group.Containers {
		if container == "" || container == c.Name {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ErrNoContainer
	}
	r.Restart(names, f)
	return nil
}

// follow waits for the groups that f tells of.
func (k *Keeper) follow(ctx context.Context, groups []string, f *Waiter, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	outcomes, err := f.Wait(ctx, len(groups), progress, k.stopped)
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range groups {
		if err := outcomes[group].Err; err != nil {
			errs = append(errs, fmt.Errorf("group %s: %w", group, err))
		}
	}
	if err := joinLine(errs); err != nil {
		return &Problem{Err: err, Hint: hintOf(err)}
	}
	return nil
}
