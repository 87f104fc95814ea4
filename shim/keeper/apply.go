package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// Apply validates the files, makes the images present, installs the files, and waits for every
// group in them: until it is running and ready, has completed, or is down because it is stopped, or
// until ctx ends. It does not wait until a generation has proved itself: see Settle. progress,
// which may be nil, is called with one line at a time, such as "checkout: start proxy
// (ambassador)".
//
// On bad input, an unavailable volume or image, or a port already taken, nothing has changed. If a
// step that builds a group fails, the group's file is put back as it was, and Apply waits for that:
// a new group is removed again, another one goes back to its previous definition. If a group is
// built and something else is wrong, the error describes it and the keeper keeps trying: a
// container may have ended at once, or something cannot be observed.
func (k *Keeper) Apply(ctx context.Context, files []group.Bundle, progress func(line string)) error {
	return k.apply(ctx, files, group.Origin{By: group.ByApply}, progress)
}

func (k *Keeper) apply(ctx context.Context, files []group.Bundle, o group.Origin, progress func(line string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	defer k.pruneSoon()
	c, waiter, err := k.installed(ctx, files, o, progress)
	if err != nil {
		return err
	}
	defer c.releaseImages()
	return c.wait(ctx, waiter, progress)
}

// installed makes a change and installs it. The waiter gets the results of its groups. The caller
// releases the images of the change.
func (k *Keeper) installed(ctx context.Context, files []group.Bundle, o group.Origin, progress func(line string)) (_ *change, _ *runner.Waiter, err error) {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return nil, nil, err
	}
	if k.folderUnread() { // it may be readable by now
		if err := k.Load(ctx); ctx.Err() != nil {
			return nil, nil, err
		}
	}
	c, err := k.read(ctx, files)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			c.releaseImages()
		}
	}()
	o.ImageDigests = c.locked(o.ImageDigests)
	if err := c.prepare(ctx, o.ImageDigests); err != nil {
		return nil, nil, err
	}
	o.ImageDigests = k.recordedDigests(c.images, progress)
	for i := range c.groups {
		if err := k.checkImages(ctx, &c.groups[i], o.ImageDigests[c.groups[i].Name]); err != nil {
			return nil, nil, err
		}
	}
	c.tellImageNotes(ctx, o.ImageDigests, progress)
	c.digests = o.ImageDigests
	waiter := runner.NewWaiter()
	return c, waiter, c.install(ctx, o, waiter)
}

// wait waits for the results of an installed change, and acts on them.
func (c *change) wait(ctx context.Context, waiter *runner.Waiter, progress func(line string)) error {
	results, err := waiter.Wait(ctx, len(c.groups)+len(c.leaves), progress, c.keeper.stopped)
	if err != nil {
		return err
	}
	if err := c.collectResults(ctx, results, progress); err != nil {
		return err
	}
	c.keeper.followSchedules() // so that the next status has when they run
	return nil
}

// install checks the change once more while it holds the right to the store, installs the files,
// and passes the definitions to the runners. waiter gets their results.
func (c *change) install(ctx context.Context, o group.Origin, waiter *runner.Waiter) error {
	k := c.keeper
	release, err := c.lock(ctx, o.By == group.ByRollback) // an operator's apply replaces any file
	if err != nil {
		return err
	}
	defer release()
	if err := c.check(); err != nil {
		return err
	}
	c.before = map[string]int{}
	for _, g := range c.groups {
		c.before[g.Name] = k.wantedNow(g.Name).Generation
	}
	c.added = map[string]bool{}
	for _, b := range c.files {
		c.added[b.Name] = !k.config.Store.Has(b.Name)
	}
	if c.undos, err = k.config.Store.Install(c.files, o); err != nil {
		return err
	}
	waiters := map[string]*runner.Waiter{}
	for _, g := range c.groups {
		waiters[g.Name] = waiter
	}
	for _, name := range c.leaves {
		waiters[name] = waiter
	}
	loadErr := k.load(loading{texts: c.texts, images: c.images, waiters: waiters})
	for _, g := range c.groups {
		if w := k.wantedGroup(g.Name); w == nil || w.Digest != g.Digest {
			err := fmt.Errorf("group %s was installed, but something else is wanted: %w", g.Name, cmp.Or(loadErr, errChangedMeanwhile))
			return hint.Join(append([]error{err}, c.undoAll(err)...))
		}
	}
	return nil
}

// lock takes the right to the store. Before that, it reads the files that the change replaces, so
// that nothing waits for their file system after it. With edits, what was changed in them by hand
// goes into the history first, and a file that can't be used is an error.
func (c *change) lock(ctx context.Context, edits bool) (release func(), err error) {
	k := c.keeper
	if !edits {
		for _, name := range c.names() {
			k.config.Store.Probe(ctx, name)
		}
		return k.lock(ctx)
	}
	r, release, err := k.lockRead(ctx, c.names()...)
	if err != nil {
		return nil, err
	}
	if err := k.recordEdits(r, c.names()...); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// names returns the names of the files.
func (c *change) names() (names []string) {
	for _, b := range c.files {
		names = append(names, b.Name)
	}
	return names
}

var errChangedMeanwhile = errors.New("its file was changed meanwhile")

// collectResults puts back the files with a group that could not be built. It returns one error for
// all results. A group that was built meanwhile, by another attempt of its runner, has not failed.
func (c *change) collectResults(ctx context.Context, results map[string]runner.Result, progress func(string)) error {
	failures := map[string]error{}            // by group
	unbuilt := map[string]map[string]string{} // by file and group, why
	for name, o := range results {
		if o.Err == nil {
			o.Err = c.superseded(name, o.State)
		}
		if o.Err == nil {
			continue
		}
		failures[name] = o.Err
		for file, groups := range c.of {
			if o.Failed != "" && slices.Contains(groups, name) {
				if unbuilt[file] == nil {
					unbuilt[file] = map[string]string{}
				}
				unbuilt[file][name] = hint.OneLine(o.Err.Error())
			}
		}
	}
	var undoErrs []error
	for _, file := range slices.Sorted(maps.Keys(unbuilt)) {
		built, err := c.undoFile(ctx, file, unbuilt[file], progress)
		for _, name := range built {
			delete(failures, name)
		}
		if err != nil {
			undoErrs = append(undoErrs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		errs = append(errs, fmt.Errorf("group %s: %w", name, failures[name]))
	}
	err := hint.Join(append(errs, undoErrs...))
	if err == nil {
		return nil
	}
	return &hint.Error{Err: err, Hint: hint.Of(err)}
}

// superseded returns an error if another definition of the group was installed in the meantime, or
// the group was removed. In that case its result is not about this change.
func (c *change) superseded(name string, state group.State) error {
	i := slices.IndexFunc(c.groups, func(g spec.Group) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	w := c.keeper.wantedNow(name)
	switch {
	case state == group.Gone:
		return errors.New("was removed meanwhile")
	case w.Group.Digest != c.groups[i].Digest, w.Pins.Differ(c.digests[name]):
		return &hint.Error{
			Err:  fmt.Errorf("another definition was put in the place of this one meanwhile: generation %d, by %s", w.Generation, w.By),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows which", name),
		}
	}
	return nil
}
