package shim

import "context"

// Restart stops and starts one container, and waits until it runs. If container is "", it does so
// with all containers of the group, in order. The error is ErrNoGroup or ErrNoContainer if there is
// no such group or container.
func (k *Keeper) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	if err := k.waitLoaded(ctx); err != nil {
		return err
	}
	waiter := NewWaiter()
	if err := k.restart(group, container, waiter); err != nil {
		return err
	}
	return k.waitGroups(ctx, []string{group}, waiter, progress)
}

func (k *Keeper) restart(group, container string, waiter *Waiter) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	w, ok := k.wanted[group]
	r := k.runners[group]
	if !ok || r == nil {
		return ErrNoGroup
	}
	if w.Stopped {
		return stoppedError(group)
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
	r.Restart(names, waiter)
	return nil
}
