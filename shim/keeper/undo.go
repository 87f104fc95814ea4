package keeper

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
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
		if now, ok := c.keeper.config.Store.Installed(file); !ok || !c.is(now) {
			continue
		}
		if err := back(hint.OneLine(why.Error())); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	_ = c.keeper.load(loading{}) // logged, and kept for Problems
	return errs
}

// undoFile puts one file back, and waits until its groups are as they were. unbuilt has the groups
// that could not be built, and why. undoFile does nothing if all of them were built meanwhile, or
// if another file was installed in its place. built are the groups that were built meanwhile.
func (c *change) undoFile(ctx context.Context, file string, unbuilt map[string]string, progress func(string)) (built []string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	waiter := runner.NewWaiter()
	n, built, err := c.undo(ctx, file, unbuilt, waiter, progress)
	if err != nil || n == 0 {
		return built, err
	}
	results, err := waiter.Wait(ctx, n, progress, c.keeper.stopped)
	if err != nil {
		return built, err
	}
	for _, r := range results {
		if r.Err != nil {
			return built, r.Err
		}
	}
	return built, nil
}

// undo puts one file back, and returns the number of groups whose results waiter will get. See
// undoFile. The text of the file may be one that was never read, and is read without the right to
// the store.
func (c *change) undo(ctx context.Context, file string, unbuilt map[string]string, waiter *runner.Waiter, progress func(string)) (n int, built []string, err error) {
	done, built, err := c.putBack(ctx, file, unbuilt, progress)
	if err != nil || !done {
		return 0, built, err
	}
	r, release, err := c.keeper.lockRead(ctx, file)
	if err != nil {
		return 0, built, err
	}
	defer release()
	waiters := map[string]*runner.Waiter{}
	c.keeper.mu.Lock()
	for _, name := range append(slices.Clone(c.of[file]), c.leaves...) {
		if c.keeper.runners[name] != nil {
			waiters[name] = waiter
		}
	}
	c.keeper.mu.Unlock()
	_ = c.keeper.load(loading{reading: r, waiters: waiters}) // logged, and kept for Problems
	return len(waiters), built, nil
}

// putBack puts one file back, and does not load it. done is false if there is a reason not to.
func (c *change) putBack(ctx context.Context, file string, unbuilt map[string]string, progress func(string)) (done bool, built []string, err error) {
	r, release, err := c.keeper.lockRead(ctx, file)
	if err != nil {
		return false, nil, err
	}
	defer release()
	if now, ok := r.Bundle(file); !ok || !c.is(now) {
		return false, nil, nil
	}
	why := ""
	for _, name := range slices.Sorted(maps.Keys(unbuilt)) {
		switch {
		case c.built(name):
			built = append(built, name)
		case why == "":
			why = unbuilt[name]
		}
	}
	if why == "" {
		return false, built, nil
	}
	if job := c.completedJob(file); job != "" {
		return false, built, &hint.Error{
			Err:  fmt.Errorf("its job %s has completed meanwhile, so all of it stays", job),
			Hint: "mend the file and apply it again; the job does not run again unless its own definition changes",
		}
	}
	if c.added[file] {
		progress(file + ": removed again, as it is new")
	} else {
		progress(file + ": put back as it was before")
	}
	if err = c.undos[file](why); err != nil {
		return false, built, err
	}
	if c.added[file] { // no generation is put back, which would have an event
		for _, name := range c.of[file] {
			c.keeper.config.Record(group.Event{Group: name, Kind: group.EventReverted, Text: file + " is removed again, as it is new: " + why})
		}
	}
	return true, built, nil
}

// built reports whether a group of the change is as wanted by now.
func (c *change) built(name string) bool {
	r := c.runnerOf(name)
	return r != nil && r.Built()
}

// completedJob returns a group of the file that has this change's definition and has completed. It
// is empty if there is none. Putting such a file back would lose that the job ran, or run the
// definition before once more.
func (c *change) completedJob(file string) string {
	for _, name := range c.of[file] {
		r := c.runnerOf(name)
		if r == nil {
			continue
		}
		if st := r.Status(); st.State == group.Completed && st.Generation != c.before[name] {
			return name
		}
	}
	return ""
}

// runnerOf returns the runner of a group that is about the definition of this change. It is nil if
// there is none.
func (c *change) runnerOf(name string) *runner.Runner {
	i := slices.IndexFunc(c.groups, func(g spec.Group) bool { return g.Name == name })
	c.keeper.mu.Lock()
	r := c.keeper.runners[name]
	c.keeper.mu.Unlock()
	if i < 0 || r == nil || r.Status().Digest != c.groups[i].Digest {
		return nil
	}
	return r
}

// is reports whether the installed file is still the one of the change, with its variables and the
// files that it names.
func (c *change) is(now group.Bundle) bool {
	ours := c.files[slices.IndexFunc(c.files, func(b group.Bundle) bool { return b.Name == now.Name })]
	return bytes.Equal(now.HCL, ours.HCL) && now.Path == ours.Path && maps.Equal(now.Vars, ours.Vars) && maps.EqualFunc(now.Files, ours.Files, bytes.Equal)
}
