package keeper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
)

// undoTimeout limits how long Apply waits until a group that could not be built is back as it was
// before.
const undoTimeout = time.Minute

// undos has, by file name, a function that puts the file back as it was before. why is recorded in
// the history.
type undos map[string]func(why string) error

// undoAll puts back all files of the change that are still installed. The caller holds the right to
// the store.
func (c *change) undoAll(why error) []error {
	var errs []error
	for file, back := range c.undos {
		if !c.installed(file) {
			continue
		}
		if err := back(hint.OneLine(why.Error())); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	_ = c.keeper.load(nil, nil) // logged, and kept for Problems
	return errs
}

// undoFile puts one file back, and waits until its groups are as they were. It does nothing if
// another file was installed in its place in the meantime.
func (c *change) undoFile(ctx context.Context, file, why string, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	waiter := runner.NewWaiter()
	n, err := c.undo(ctx, file, why, waiter, progress)
	if err != nil || n == 0 {
		return err
	}
	results, err := waiter.Wait(ctx, n, progress, c.keeper.stopped)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// undo puts one file back, and returns the number of groups whose results waiter will get.
func (c *change) undo(ctx context.Context, file, why string, waiter *runner.Waiter, progress func(string)) (int, error) {
	release, err := c.keeper.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	if !c.installed(file) {
		return 0, nil
	}
	progress(file + ": put back as it was before")
	if err := c.undos[file](why); err != nil {
		return 0, err
	}
	waiters := map[string]*runner.Waiter{}
	c.keeper.mu.Lock()
	for _, name := range append(slices.Clone(c.of[file]), c.leaves...) {
		if c.keeper.runners[name] != nil {
			waiters[name] = waiter
		}
	}
	c.keeper.mu.Unlock()
	_ = c.keeper.load(nil, waiters) // logged, and kept for Problems
	return len(waiters), nil
}

// installed reports whether the installed file is still the one of the change.
func (c *change) installed(file string) bool {
	ours := c.files[slices.IndexFunc(c.files, func(b group.Bundle) bool { return b.Name == file })]
	now, err := c.keeper.config.Store.Bundle(file)
	return err == nil && string(now.HCL) == string(ours.HCL)
}
