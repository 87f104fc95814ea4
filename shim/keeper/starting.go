package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A keeper starts in three steps. A call waits for as many of them as it needs.
//
//	open ──────────► known ──────────► firstLoad ──────────► loaded ──────► observed
//	the state folder   │ ps, status,     the group files        │ all else    each group was seen
//	                   │ stop, preview                          │
//	                   └─ groups are "starting"                 └─ each has a runner
//
// The group files may be on a file system that does not answer, so firstLoad may take long.

// Known returns a channel that is closed when the groups of the state folder are known. From then
// on Status lists them.
func (k *Keeper) Known() <-chan struct{} { return k.known }

// open finds what the state folder has.
func (k *Keeper) open() {
	k.storeLock <- struct{}{}
	defer func() { <-k.storeLock }()
	if err := k.config.Store.Open(); err != nil {
		k.config.Log.Warn("finish what an earlier daemon has begun: " + hint.OneLine(err.Error()))
	}
	last, err := k.config.Store.List()
	if err != nil {
		k.config.Log.Warn("read what was wanted last: " + hint.OneLine(err.Error()))
	}
	states := k.readStates()
	records, runsErr := k.config.Runs.Open()
	finished, err := k.config.Runs.Finished()
	if err := errors.Join(runsErr, err); err != nil {
		k.config.Log.Warn("read what is known of runs: " + hint.OneLine(err.Error()))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.recordedStates, k.loaded.Index = states, &spec.Index{}
	for _, w := range last {
		if w.File != "" {
			k.wanted[w.Group.Name] = w
			k.loaded.Index.Add([]spec.Group{w.Group})
		}
	}
	k.openRuns(records, finished)
	close(k.known)
}

// firstLoad loads the group files. It reports whether it did, before ctx ended.
func (k *Keeper) firstLoad(ctx context.Context) bool {
	r, err := k.config.Store.ReadFolder(ctx)
	if err != nil {
		return false
	}
	select {
	case k.storeLock <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-k.storeLock }()
	_ = k.load(loading{reading: r}) // logged, and kept for Problems. The readable files count
	close(k.storeLoaded)
	k.letRunsStart()
	return true
}

// hasLoaded reports whether the group files have been loaded. It does not change while the caller
// holds the right to the store.
func (k *Keeper) hasLoaded() bool {
	select {
	case <-k.storeLoaded:
		return true
	default:
		return false
	}
}

// stopKnown stops a group before the group files have been loaded. The caller holds the right to
// the store.
func (k *Keeper) stopKnown(name string, waiter *runner.Waiter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.wanted[name]
	w.Group.Name, w.Stopped = name, true // its definition may be lost
	k.wanted[name] = w
	k.setWanted(name, &w, &w, nil, waiter)
}

// Status returns the status of one group, or, if group is "", of every group, sorted by name. A
// group that was not looked at yet is starting. The error for an unknown group is ErrNoGroup.
func (k *Keeper) Status(groupName string) ([]group.Status, error) {
	out, err := k.statuses(groupName)
	if err == nil && groupName != "" {
		k.addProofs(&out[0])
	}
	return out, err
}

// statuses returns the status of a group, or of all groups without a name, without proofs.
func (k *Keeper) statuses(groupName string) ([]group.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	names := []string{groupName}
	if groupName == "" {
		names = slices.DeleteFunc(k.names(), k.isRun) // see Runs
	}
	out := make([]group.Status, 0, len(names))
	for _, name := range names {
		st, ok := k.statusOf(name)
		if !ok {
			return nil, k.errNoGroup(name)
		}
		out = append(out, st)
	}
	return out, nil
}

// names returns the names of all groups. The caller holds mu.
func (k *Keeper) names() []string {
	names := slices.Collect(maps.Keys(k.runners))
	if !k.hasLoaded() {
		names = slices.AppendSeq(names, maps.Keys(k.wanted))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// statusOf returns the status of a group. The caller holds mu.
func (k *Keeper) statusOf(name string) (group.Status, bool) {
	w, wanted := k.wanted[name]
	if r, ok := k.runners[name]; ok {
		st := r.Status()
		if st.State == "" && wanted {
			st = starting(&w, "waits until the daemon has looked at it")
		}
		k.addSchedule(&st, &w)
		return st, true
	}
	if k.isRun(name) {
		return k.runStatus(k.runs.all[name]), true
	}
	if !wanted || k.hasLoaded() {
		return group.Status{}, false
	}
	return starting(&w, "waits until the daemon has read the group files"+k.stuck()), true
}

// stuckAfter is how long a file is read before it is named.
const stuckAfter = 2 * time.Second

// stuck returns a text about the file that is read for too long. It is empty if there is none.
func (k *Keeper) stuck() string {
	name, since := k.config.Store.ReadingLongest()
	if took := k.config.Now().Sub(since); name != "" && took >= stuckAfter {
		path := filepath.Join(k.config.Store.Layout().GroupsDir, name)
		return fmt.Sprintf(". %s has been read for %s: check the mounts of the files that it names", path, took.Round(time.Second))
	}
	return ""
}

// starting returns the status of a group that was not looked at yet.
func starting(w *store.Wanted, waits string) group.Status {
	st := group.Status{
		Name: w.Group.Name, State: group.Starting, Egress: w.Group.Egress, File: w.File, Generation: w.Generation, Digest: w.Group.Digest,
		Door: w.Group.Door().Shown(), CallsNowhere: w.Group.Door().Allow.Nowhere(), DNS: w.Group.DNS, Unsafe: reach.Unsafe(&w.Group), Labels: w.Group.Labels, Waiting: waits,
		Containers: []group.ContainerStatus{},
	}
	for _, c := range w.Group.Containers {
		st.Containers = append(st.Containers, group.ContainerStatus{Name: c.Name, Role: c.Role, Image: c.Image, Task: host.TaskUnknown})
	}
	return st
}

// waitLoaded waits until Run has loaded the group files.
func (k *Keeper) waitLoaded(ctx context.Context) error { return k.waitLoadedWith(ctx, nil) }

// waitLoadedWith is waitLoaded. progress, which may be nil, gets a line about the wait.
func (k *Keeper) waitLoadedWith(ctx context.Context, progress func(line string)) error {
	if k.hasLoaded() {
		return nil
	}
	if progress == nil {
		progress = func(string) {}
	}
	progress("the daemon is starting: this waits until it has read the group files")
	tell := time.NewTimer(stuckAfter)
	defer tell.Stop()
	for {
		select {
		case <-k.storeLoaded:
			return nil
		case <-tell.C:
			if text := k.stuck(); text != "" {
				progress("the daemon is starting" + text)
			}
			tell.Reset(stuckAfter)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-k.stopped:
			return runner.ErrStopping
		}
	}
}
