package shim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// backTime bounds how long Apply waits for a group to be as it was before, after it could not be made as it was to be.
const undoTimeout = time.Minute

// Apply validates, makes the images present, installs the files, and waits until every group in them is running, has completed,
// is down because it is stopped, or ctx ends; progress (may be nil) is called with one line at a time, e.g. "checkout: start proxy (ambassador)".
// On bad input, a volume or an image that can't be had or a port already taken, nothing has changed. When a step that builds a group fails,
// the group's file is put back as it was, and Apply waits for that: a new group is taken away again, another one goes back to
// its definition before. When a group is built and something else is wrong, a container that ended at once or something that
// can't be looked at, the error says so and the keeper goes on trying.
func (k *Keeper) Apply(ctx context.Context, files []Bundle, progress func(line string)) error {
	return k.apply(ctx, files, Origin{By: ByApply}, progress)
}

func (k *Keeper) apply(ctx context.Context, files []Bundle, o Origin, progress func(line string)) error {
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
	images, err := k.resolveImages(ctx, c, o.Pins)
	if err != nil {
		return err
	}
	o.Pins = k.recordedDigests(images, progress)
	c.pins = o.Pins
	waiter := NewWaiter()
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

// installFiles checks once more, under the right to the store, installs, and sets the runners going.
func (k *Keeper) installFiles(ctx context.Context, c *change, o Origin, images map[string]map[string]Image, waiter *Waiter) (undos, error) {
	release, err := k.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := k.check(c); err != nil {
		return nil, err
	}
	if o.By == ByRollback { // what an operator applies takes the place of whatever is there
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
	waiters := map[string]*Waiter{}
	for _, g := range c.groups {
		waiters[g.Name] = waiter
	}
	for _, name := range c.leaves {
		waiters[name] = waiter
	}
	loadErr := k.load(images, waiters)
	for _, g := range c.groups {
		if w := k.wantedGroup(g.Name); w == nil || w.Digest != g.Digest {
			err := fmt.Errorf("group %s was installed and is not what is wanted: %w", g.Name, cmp.Or(loadErr, errChangedMeanwhile))
			return nil, joinLine(append([]error{err}, k.undoAll(*c, undo, err)...))
		}
	}
	return undo, nil
}

var errChangedMeanwhile = errors.New("its file was changed meanwhile")

// undoings put each file back as it was before; they are told why.
type undos map[string]func(why string) error

func (k *Keeper) undoAll(c change, undo undos, why error) []error {
	var errs []error
	for file, back := range undo {
		if !k.installed(c, file) {
			continue
		}
		if err := back(oneLine(why.Error())); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	_ = k.load(nil, nil) // logged, and kept for Problems
	return errs
}

// judge makes one error of the outcomes, and puts back the files of which a group could not be built.
func (k *Keeper) collectResults(ctx context.Context, c change, outcomes map[string]Result, undo undos, progress func(string)) error {
	var errs []error
	back := map[string]string{} // file -> why
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
				back[file] = oneLine(o.Err.Error())
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(back)) {
		undo := func() error { return undo[file](back[file]) }
		if err := k.undoFile(ctx, c, file, undo, progress); err != nil {
			errs = append(errs, fmt.Errorf("put %s back as it was: %w", file, err))
		}
	}
	err := joinLine(errs)
	if err == nil {
		return nil
	}
	return &Problem{Err: err, Hint: hintOf(err)}
}

// superseded is the complaint about a group of the change of which something else is wanted by now, so that what became of it says
// nothing of the change; nil: it is as the change has it.
func (k *Keeper) superseded(c change, name string, state State) error {
	i := slices.IndexFunc(c.groups, func(g spec.Group) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	w := k.wantedNow(name)
	switch {
	case state == Gone:
		return errors.New("was removed meanwhile")
	case w.Group.Digest != c.groups[i].Digest, w.Pins.differ(c.pins[name]):
		return &Problem{
			Err:  fmt.Errorf("another definition was put in the place of this one meanwhile: generation %d, by %s", w.Generation, w.By),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows which", name),
		}
	}
	return nil
}

// putBack undoes the installation of one file, unless someone has installed another one meanwhile, and waits until its groups
// are as they were.
func (k *Keeper) undoFile(ctx context.Context, c change, file string, undo func() error, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	waiter := NewWaiter()
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

// undo returns how many groups f will tell of.
func (k *Keeper) undo(ctx context.Context, c change, file string, undo func() error, waiter *Waiter, progress func(string)) (int, error) {
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
	waiters := map[string]*Waiter{}
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

// installed says that the file is as the change has it: nobody has put another in its place since.
func (k *Keeper) installed(c change, file string) bool {
	ours := c.files[slices.IndexFunc(c.files, func(b Bundle) bool { return b.Name == file })]
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
