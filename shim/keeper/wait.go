package keeper

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// Wait waits until the group has completed, and returns the exit status of its apps: the first, in
// the file's order, that is not 0, else 0. It fails at once for a group that never completes. It
// also fails when the group is stopped or removed before it has completed. The error for a job that
// was ended by its timeout is ErrTimedOut, and that for an unknown group is ErrNoGroup.
func (k *Keeper) Wait(ctx context.Context, name string) (status uint32, err error) {
	if err := k.waitLoaded(ctx); err != nil {
		return 0, err
	}
	if r := k.knownRun(name); r != nil {
		return k.waitRun(ctx, r)
	}
	k.mu.Lock()
	r, ok := k.runners[name]
	k.mu.Unlock()
	if !ok {
		return 0, group.ErrNoGroup
	}
	for {
		w, st, changed := r.Watch()
		if w != nil && w.Group.Schedule != nil {
			return 0, errScheduled(name, "waited for", w.File)
		}
		if w != nil {
			if err := neverCompletes(&w.Group); err != nil {
				return 0, err
			}
		}
		switch st.State {
		case group.Completed:
			return appStatus(st.Containers), nil
		case group.Gone:
			return 0, &hint.Error{Err: fmt.Errorf("group %s was removed before it had completed", name), Hint: "apply it again to run it"}
		case group.Stopped:
			if st.TimedOut && w != nil {
				return 0, &hint.Error{Err: fmt.Errorf("group %s has %w after %s", name, group.ErrTimedOut, w.Group.Timeout), Hint: st.Hint}
			}
			err := fmt.Errorf("group %s was stopped before it had completed", name)
			if st.Error != "" {
				err = fmt.Errorf("%w: %s", err, st.Error)
			}
			return 0, &hint.Error{Err: err, Hint: "sallyport start " + name}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-k.stopped:
			return 0, runner.ErrStopping
		}
	}
}

// waitRun is Wait for a run.
func (k *Keeper) waitRun(ctx context.Context, r *run) (status uint32, err error) {
	if err := k.awaitRun(ctx, r.over); err != nil {
		return 0, err
	}
	now := r.status()
	if now.TimedOut {
		return 0, fmt.Errorf("run %s: %w", r.id, group.ErrTimedOut)
	}
	if now.ExitStatus == nil || now.Error != "" {
		return 0, &hint.Error{Err: fmt.Errorf("run %s: %s", r.id, now.Error), Hint: now.Hint}
	}
	return *now.ExitStatus, nil
}

// neverCompletes returns an error if the group is not a job.
func neverCompletes(g *spec.Group) error {
	c := g.Unending()
	if c == nil {
		return nil
	}
	return &hint.Error{
		Err:  fmt.Errorf("group %s is no job: %s is started again whenever it ends", g.Name, c.Title()),
		Hint: "an app of a job has restart { policy = \"never\" } or \"on-failure\"",
	}
}

// appStatus returns the exit status of the first app that has failed, or 0.
func appStatus(containers []group.ContainerStatus) uint32 {
	for _, c := range containers {
		if c.Role == spec.App && c.ExitStatus != nil && *c.ExitStatus != 0 {
			return *c.ExitStatus
		}
	}
	return 0
}

// waitGroups waits for the results of the groups. It returns one error for all of them.
func (k *Keeper) waitGroups(ctx context.Context, groups []string, waiter *runner.Waiter, progress func(string)) error {
	return k.waitAccepted(ctx, groups, waiter, progress, "")
}

// waitAccepted waits for the results of a change that is recorded, and that no result takes back.
// An error of a group reports that too, in the words of becomes, as "stays stopped". becomes is
// empty for a change that may be taken back.
func (k *Keeper) waitAccepted(ctx context.Context, groups []string, waiter *runner.Waiter, progress func(string), becomes string) error {
	if progress == nil {
		progress = func(string) {}
	}
	outcomes, err := waiter.Wait(ctx, len(groups), progress, k.stopped)
	if err != nil {
		return err
	}
	var errs []error
	for _, group := range groups {
		err := outcomes[group].Err
		switch {
		case err == nil:
		case becomes == "", k.hasEnded(group): // nothing of the group is tried again
			errs = append(errs, fmt.Errorf("group %s: %w", group, err))
		default:
			errs = append(errs, fmt.Errorf("group %s %s: %w", group, becomes, err))
		}
	}
	if err := hint.Join(errs); err != nil {
		return &hint.Error{Err: err, Hint: hint.Of(err)}
	}
	return nil
}

// hasEnded reports whether a group that is to run has ended by itself.
func (k *Keeper) hasEnded(group string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	w, wanted := k.wanted[group]
	r, ok := k.runners[group]
	return ok && wanted && !w.Stopped && r.Status().Ended
}
