package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// undoTimeout limits how long Apply waits until a group that could not be built is back as it was
// before.
const undoTimeout = time.Minute

// Apply validates the files, makes the images present, installs the files, and waits for every
// group in them: until it is running, has completed, or is down because it is stopped, or until ctx
// ends. progress, which may be nil, is called with one line at a time, such as "checkout: start
// proxy (ambassador)".
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
	if err := k.waitLoaded(ctx); err != nil {
		return err
	}
	if progress == nil {
		progress = func(string) {}
	}
	c, err := k.read(files)
	if err != nil {
		return err
	}
	if err := k.checkPorts(c); err != nil {
		return err
	}
	if err := k.checkVolumes(ctx, c); err != nil {
		return err
	}
	images, err := k.resolveImages(ctx, c, o.ImageDigests)
	if err != nil {
		return err
	}
	o.ImageDigests = k.recordedDigests(images, progress)
	c.pins = o.ImageDigests
	waiter := runner.NewWaiter()
	undo, err := k.installFiles(ctx, &c, o, images, waiter)
	if err != nil {
		return err
	}
	outcomes, err := waiter.Wait(ctx, len(c.groups)+len(c.leaves), progress, k.stopped)
	if err != nil {
		return err
	}
	return k.collectResults(ctx, c, outcomes, undo, progress)
}

// installFiles checks the change once more while it holds the right to the store, installs the
// files, and wakes the runners.
func (k *Keeper) installFiles(ctx context.Context, c *change, o group.Origin, images map[string]map[string]host.Image, waiter *runner.Waiter) (undos, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := k.check(c); err != nil {
		return nil, err
	}
	if o.By == group.ByRollback { // an operator's apply replaces any file
		for _, b := range c.files {
			if err := k.recordEdits(b.Name); err != nil {
				return nil, err
			}
		}
	}
	undo, err := k.config.Store.Install(c.files, o)
	if err != nil {
		return nil, err
	}
	waiters := map[string]*runner.Waiter{}
	for _, g := range c.groups {
		waiters[g.Name] = waiter
	}
	for _, name := range c.leaves {
		waiters[name] = waiter
	}
	loadErr := k.load(images, waiters)
	for _, g := range c.groups {
		if w := k.wantedGroup(g.Name); w == nil || w.Digest != g.Digest {
			err := fmt.Errorf("group %s was installed, but something else is wanted: %w", g.Name, cmp.Or(loadErr, errChangedMeanwhile))
			return nil, hint.Join(append([]error{err}, k.undoAll(*c, undo, err)...))
		}
	}
	return undo, nil
}

var errChangedMeanwhile = errors.New("its file was changed meanwhile")

// undos put each file back as it was before, by file name. why is recorded in the history.
type undos map[string]func(why string) error

func (k *Keeper) undoAll(c change, undo undos, why error) []error {
	var errs []error
	for file, back := range undo {
		if !k.installed(c, file) {
			continue
		}
		if err := back(hint.OneLine(why.Error())); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	_ = k.load(nil, nil) // logged, and kept for Problems
	return errs
}

// collectResults makes one error of the results, and puts back the files with a group that could
// not be built.
func (k *Keeper) collectResults(ctx context.Context, c change, outcomes map[string]runner.Result, undo undos, progress func(string)) error {
	var errs []error
	back := map[string]string{} // by file, the reason
	for _, name := range slices.Sorted(maps.Keys(outcomes)) {
		o := outcomes[name]
		if o.Err == nil {
			o.Err = k.superseded(c, name, o.State)
		}
		if o.Err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("group %s: %w", name, o.Err))
		if o.Failed == "" {
			continue
		}
		for file, groups := range c.of {
			if _, twice := back[file]; slices.Contains(groups, name) && !twice {
				back[file] = hint.OneLine(o.Err.Error())
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(back)) {
		undo := func() error { return undo[file](back[file]) }
		if err := k.undoFile(ctx, c, file, undo, progress); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	err := hint.Join(errs)
	if err == nil {
		return nil
	}
	return &hint.Error{Err: err, Hint: hint.Of(err)}
}

// superseded returns an error if another definition of the group was installed in the meantime, or
// the group was removed. Then its result is not about this change.
func (k *Keeper) superseded(c change, name string, state group.State) error {
	i := slices.IndexFunc(c.groups, func(g spec.Group) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	w := k.wantedNow(name)
	switch {
	case state == group.Gone:
		return errors.New("was removed meanwhile")
	case w.Group.Digest != c.groups[i].Digest, w.Pins.Differ(c.pins[name]):
		return &hint.Error{
			Err:  fmt.Errorf("another definition was put in the place of this one meanwhile: generation %d, by %s", w.Generation, w.By),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows which", name),
		}
	}
	return nil
}

// undoFile undoes the installation of one file, and waits until its groups are as they were. It
// does nothing if another file was installed in its place in the meantime.
func (k *Keeper) undoFile(ctx context.Context, c change, file string, undo func() error, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	waiter := runner.NewWaiter()
	n, err := k.undo(ctx, c, file, undo, waiter, progress)
	if err != nil || n == 0 {
		return err
	}
	outcomes, err := waiter.Wait(ctx, n, progress, k.stopped)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.Err != nil {
			return o.Err
		}
	}
	return nil
}

// undo returns the number of groups whose results waiter will get.
func (k *Keeper) undo(ctx context.Context, c change, file string, undo func() error, waiter *runner.Waiter, progress func(string)) (int, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	if !k.installed(c, file) {
		return 0, nil
	}
	progress(file + ": put back as it was before")
	if err := undo(); err != nil {
		return 0, err
	}
	waiters := map[string]*runner.Waiter{}
	k.mu.Lock()
	for _, name := range append(slices.Clone(c.of[file]), c.leaves...) {
		if k.runners[name] != nil {
			waiters[name] = waiter
		}
	}
	k.mu.Unlock()
	_ = k.load(nil, waiters) // logged, and kept for Problems
	return len(waiters), nil
}

// installed reports whether the installed file is still the one of the change.
func (k *Keeper) installed(c change, file string) bool {
	ours := c.files[slices.IndexFunc(c.files, func(b group.Bundle) bool { return b.Name == file })]
	now, err := k.config.Store.Bundle(file)
	return err == nil && string(now.HCL) == string(ours.HCL)
}

func (k *Keeper) wantedGroup(name string) *spec.Group {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[name]; ok {
		return &w.Group
	}
	return nil
}
