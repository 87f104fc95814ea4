package keeper

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A loading holds all that load passes on. The zero value has nothing.
type loading struct {
	reading store.Reading // of files, taken without the right to the store
	texts   []*store.Text // of files that were just installed
	// Of a call in progress, by group.
	images  map[string]map[string]host.Image
	waiters map[string]*runner.Waiter
}

// load makes what was read the wanted state, and passes it to every runner. The caller holds the
// right to the store. The error names the files that cannot be used.
func (k *Keeper) load(in loading) error {
	l := k.config.Store.Accept(in.reading, in.texts...)
	switch {
	case len(l.Reread) > 0:
		k.loadLater(0)
	case l.Again > 0:
		k.loadLater(l.Again)
	}
	for _, m := range l.Mended {
		k.config.Log.Warn(m.Text, "group", m.Group)
		k.config.Record(group.Event{Group: m.Group, Kind: group.EventMended, Text: m.Text})
	}
	k.logProblems(l.Problems)
	for _, w := range l.New { // before a runner records its results
		k.config.Record(generationEvent(w))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.wanted
	k.loaded, k.wanted = l, map[string]store.Wanted{}
	k.loads++
	select {
	case k.unswept <- struct{}{}:
	default: // sweepOrphans has not taken the one before
	}
	k.pruneSoon()
	defer k.schedules.wake()
	for i := range l.Wanted {
		w := &l.Wanted[i]
		k.wanted[w.Group.Name] = *w
		k.setWanted(w.Group.Name, w, w, in.images[w.Group.Name], in.waiters[w.Group.Name])
	}
	for name, w := range before {
		if k.wanted[name].Generation != w.Generation {
			k.leaveImages(w)
		}
	}
	for i := range l.Gone {
		w := &l.Gone[i]
		k.setWanted(w.Group.Name, w, nil, nil, in.waiters[w.Group.Name])
	}
	gone := map[string]bool{}
	for _, w := range l.Gone {
		gone[w.Group.Name] = true
	}
	for name, r := range k.runners {
		if _, wanted := k.wanted[name]; !wanted && !gone[name] && l.Complete() && !k.isRun(name) {
			r.Want(nil, nil, in.waiters[name])
		}
	}
	return joinProblems(l.Problems)
}

// mostProblems is how many files are named in the log and in an error. A script can leave thousands
// of broken ones in the folder.
const mostProblems = 10

// logProblems logs the files that can't be used and could before, or had another mistake.
func (k *Keeper) logProblems(now []group.FileProblem) {
	before := map[string]string{}
	for _, p := range k.loadProblems() {
		before[p.Path] = p.Err.Error()
	}
	now = slices.DeleteFunc(slices.Clone(now), func(p group.FileProblem) bool { return before[p.Path] == p.Err.Error() })
	for _, p := range now[:min(mostProblems, len(now))] {
		k.config.Log.Warn("not used: "+hint.OneLine(p.Err.Error()), "path", p.Path)
	}
	if more := len(now) - mostProblems; more > 0 {
		k.config.Log.Warn("not used are more files: see sallyport ps --all", "files", more)
	}
}

// joinProblems returns one error for all files that can't be used. It names the first ones.
func joinProblems(all []group.FileProblem) error {
	var errs []error
	for _, p := range all[:min(mostProblems, len(all))] {
		errs = append(errs, fmt.Errorf("%s: %w", p.Path, p.Err))
	}
	if more := len(all) - mostProblems; more > 0 {
		errs = append(errs, fmt.Errorf("and %d more files; \"sallyport ps --all\" lists them", more))
	}
	return hint.Join(errs)
}

// loadLater has the folder read again after that time.
func (k *Keeper) loadLater(after time.Duration) {
	select {
	case k.again <- after:
	default: // the load that comes first will ask again
	}
}

// setWanted passes what is wanted to the group's runner, and makes the runner if there is none. A
// new runner runs only after that: without a wanted definition it would remove its group. last is
// the last definition. A nil last means that none is known. The caller holds mu.
func (k *Keeper) setWanted(group string, last, w *store.Wanted, images map[string]host.Image, waiter *runner.Waiter) {
	if k.isRun(group) { // a file that has just been put into the folder
		k.config.Log.Warn("a run has the name of this group: it is not started", "group", group)
		return
	}
	if w != nil {
		k.boundsSoon(&w.Group)
	}
	if r, ok := k.runners[group]; ok {
		if w == nil && last != nil && last.Purge {
			r.Purge()
		}
		r.Want(w, images, waiter)
		return
	}
	r := runner.New(group, last, k.recordedStates[group], &k.config.Config, owner{k})
	r.Want(w, images, waiter)
	k.runners[group] = r
	if k.spawn != nil {
		k.spawn(r)
	}
}

// sweepOrphans removes the groups of ours on the host that no file defines: at once, and a while
// after each complete load, so that one listing is enough for several loads. If they cannot be
// listed, it tries again.
func (k *Keeper) sweepOrphans(ctx context.Context) error {
	var due <-chan time.Time // nil while no load calls for it
	for {
		if due == nil && k.sweep(ctx) {
			due = time.After(k.config.Resync)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.unswept:
			if due == nil {
				due = time.After(k.config.Resync)
			}
			continue
		case <-due:
			due = nil
		}
	}
}

// sweep reports whether it is to be tried again. After a load that is not complete it does nothing:
// a later one calls for it.
func (k *Keeper) sweep(ctx context.Context) (again bool) {
	k.mu.Lock()
	complete := k.loaded.Complete()
	k.mu.Unlock()
	if !complete {
		return false
	}
	found, err := k.machine.Groups(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.config.Log.Warn("look for orphaned groups: " + err.Error())
		}
		return true
	}
	k.mu.Lock()
	if !k.loaded.Complete() { // the folder was read again in the meantime
		k.mu.Unlock()
		return false
	}
	for _, name := range found {
		if _, known := k.runners[name]; !known && name != "" {
			k.config.Log.Info("found on the host and in no file: it is removed", "group", name)
			k.setWanted(name, nil, nil, nil, nil)
		}
	}
	k.mu.Unlock()
	k.retireOutputs()
	return false
}

// retireOutputs moves the output away that removed groups have left: of a keeper that died before
// it did so, or of an earlier version, which left it where it was.
func (k *Keeper) retireOutputs() {
	if k.config.Incarnations == nil {
		return
	}
	groups, err := k.config.Incarnations.Groups()
	if err != nil {
		k.config.Log.Warn(err.Error())
		return
	}
	for _, name := range groups {
		if err := k.retireOutput(name); err != nil {
			k.config.Log.Warn(err.Error(), "group", name)
		}
	}
}

// retireOutput does so for a group without a runner. It holds mu, so no runner begins meanwhile,
// and without one no container does.
func (k *Keeper) retireOutput(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.runners[name]; known || !k.loaded.Complete() {
		return nil
	}
	return k.config.Incarnations.Retire(name)
}

// wantedGroup returns the wanted definition of a group. Nil means that none is wanted.
func (k *Keeper) wantedGroup(name string) *spec.Group {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[name]; ok {
		return &w.Group
	}
	return nil
}

// allWanted returns what is wanted, by group.
func (k *Keeper) allWanted() map[string]store.Wanted {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.wanted)
}

// wantedNow returns what is wanted of a group. It is empty if the group is not wanted.
func (k *Keeper) wantedNow(group string) store.Wanted {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.wanted[group]
}

// generationEvent returns the event of a group's new generation, and what made it.
func generationEvent(w store.Wanted) group.Event {
	e := group.Event{Group: w.Group.Name, Kind: group.EventAccepted}
	switch {
	case w.Setback != nil:
		e.Kind = group.EventReverted
		e.Text = fmt.Sprintf("generation %d was taken back, the one before it is put in its place as generation %d: %s", w.Setback.Generation, w.Generation, w.Setback.Why)
	case w.By == group.ByRollback:
		e.Kind, e.Text = group.EventRollback, fmt.Sprintf("an earlier generation is put back as generation %d", w.Generation)
	case w.By == group.ByFile:
		e.Text = fmt.Sprintf("generation %d, by an edit of %s", w.Generation, w.File)
	default:
		e.Text = fmt.Sprintf("generation %d, by %s of %s", w.Generation, w.By, w.File)
	}
	return e
}
