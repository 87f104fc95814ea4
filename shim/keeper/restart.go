package keeper

import (
	"context"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/runner"
)

// Restart stops and starts one container, and waits until it runs. If container is "", it does so
// with all containers of the group, in order. The error is ErrNoGroup or ErrNoContainer if there is
// no such group or container.
func (k *Keeper) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	if k.knownRun(group) != nil {
		return errRun(group, "restarted")
	}
	waiter := runner.NewWaiter()
	if err := k.restart(group, container, waiter); err != nil {
		return err
	}
	return k.waitAccepted(ctx, []string{group}, waiter, progress, "goes on restarting")
}

func (k *Keeper) restart(name, container string, waiter *runner.Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w, ok := k.wanted[name]
	r := k.runners[name]
	if !ok || r == nil {
		return group.ErrNoGroup
	}
	if w.Group.Schedule != nil {
		return errScheduled(name, "restarted", w.File)
	}
	if w.Stopped {
		return stoppedError(name)
	}
	var names []string
	for _, c := range w.Group.Containers {
		if container == "" || container == c.Name {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return group.ErrNoContainer
	}
	r.Restart(names, waiter)
	return nil
}
