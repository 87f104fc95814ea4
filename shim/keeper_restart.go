package shim

import "context"

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
