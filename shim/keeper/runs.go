package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// Processes reaches the main processes of containers. Implemented by ctrd.Client; in memory by
// hosttest.Host.
type Processes interface {
	// Signal sends a signal to the main process of a container. dropped reports whether it has no
	// handler for it, so that the kernel drops it.
	Signal(ctx context.Context, group, container string, signal syscall.Signal) (dropped bool, err error)
	// OpenInput opens the standard input of a container that was created with one. One process at a
	// time has it open. The error is ErrInputUnknown if an earlier one was killed while it wrote.
	OpenInput(ctx context.Context, group, container string) (host.Input, error)
	// RemoveInput removes what an input has left on the host. A missing one is no error.
	RemoveInput(group, container string) error
}

// RunLimits bound the runs of a host.
type RunLimits struct {
	AtOnce  int           // how many go on at the same time; at least 1
	Queued  int           // how many more may wait
	Keep    time.Duration // how long a run is known after its end
	Records int           // how many of those are known, the latest
}

// DefaultRunLimits are those of a configuration that has none.
var DefaultRunLimits = RunLimits{AtOnce: 8, Queued: 1000, Keep: 24 * time.Hour, Records: 1000}

// runs holds the runs of a Keeper. The keeper's mu guards it.
type runs struct {
	limits RunLimits
	all    map[string]*run // by ID, with those that are over
	queue  []*run          // in their order
	active int             // runs that have their turn
	counts group.RunCounts
	loaded bool // runs may start
}

// SetRunLimits puts limits of runs in force.
func (k *Keeper) SetRunLimits(l RunLimits) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs.limits = l
	k.nextRuns()
}

// KnowsRun reports whether there is a run of that ID, or was one that is still known.
func (k *Keeper) KnowsRun(id string) bool { return k.knownRun(id) != nil }

// BeginRun accepts a run. by is who asks: "uid 0". If the ID is known, it returns what is known of
// that run instead, also for another request. The error is ErrQueueFull if too many wait.
func (k *Keeper) BeginRun(ctx context.Context, req group.RunRequest, by string) (group.Run, error) {
	if r, err := k.runOf(ctx, req.ID); err == nil {
		return r.status(), nil
	}
	if err := k.waitLoaded(ctx); err != nil {
		return group.Run{}, err
	}
	change := spec.RunChange{Name: req.ID, Group: req.Group, Args: req.Args, Env: req.Env, Files: req.Files, Timeout: req.Timeout}
	template, definition, err := k.config.Store.ReadRun(ctx, req.Bundle, change)
	if err != nil {
		return group.Run{}, err
	}
	r := newRun(group.Run{
		ID: req.ID, Group: template, File: req.Bundle.Name, App: appOf(&definition).Name, State: group.RunQueued,
		By: by, Detached: req.Detach, Kept: req.Keep, Queued: k.config.Now(),
	}, definition)
	r.keep, r.input, r.locked = req.Keep, req.Stdin && !req.Detach, req.Bundle.Locked
	return k.acceptRun(r)
}

// appOf returns the one app of a run's group.
func appOf(g *spec.Group) *spec.Container {
	i := slices.IndexFunc(g.Containers, func(c spec.Container) bool { return c.Role == spec.App })
	return &g.Containers[i]
}

// acceptRun puts a run into the queue, and returns what is known of it then. Nothing asks for a
// detached one again, so it is written down before that.
func (k *Keeper) acceptRun(r *run) (group.Run, error) {
	if first, err := k.reserveRun(r); first != nil || err != nil {
		if err != nil {
			return group.Run{}, err
		}
		return first.status(), nil
	}
	var err error
	if now := r.status(); now.Detached {
		if err = k.config.Runs.Add(r.record()); err == nil {
			k.writeFinished(now)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.spawn == nil {
		err = cmp.Or(err, runner.ErrStopping)
	}
	if err != nil {
		delete(k.runs.all, r.id)
		return group.Run{}, errors.Join(err, k.config.Runs.Drop(r.id), k.config.Runs.Forget(r.id))
	}
	k.runs.queue = append(k.runs.queue, r)
	r.mu.Lock()
	r.waitForCaller(k.config.RunGrace)
	r.mu.Unlock()
	k.goOn(func(ctx context.Context) { k.keepRun(ctx, r, false) })
	k.nextRuns()
	return r.status(), nil
}

// reserveRun makes a run known by its ID. first is the one that is known by it already.
func (k *Keeper) reserveRun(r *run) (first *run, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if first, ok := k.runs.all[r.id]; ok {
		return first, nil
	}
	_, wanted := k.wanted[r.id]
	switch l := k.runs.limits; {
	case wanted, k.runners[r.id] != nil:
		return nil, &hint.Error{Err: fmt.Errorf("there is a group %s", r.id), Hint: "run it again, with another ID"}
	case k.runs.active >= l.AtOnce && len(k.runs.queue) >= l.Queued:
		k.runs.counts.Refused++
		return nil, &hint.Error{
			Err:  fmt.Errorf("%w: %d go on and %d wait", group.ErrQueueFull, k.runs.active, len(k.runs.queue)),
			Hint: "try again later, or raise runs.at_once or runs.queued in the configuration",
		}
	}
	k.runs.all[r.id] = r
	return nil, nil
}

// nextRuns gives runs their turn, as many as may go on, and the others their place. The caller
// holds mu.
func (k *Keeper) nextRuns() {
	q := &k.runs
	for q.loaded && q.active < q.limits.AtOnce && len(q.queue) > 0 {
		q.active++
		q.queue[0].change(func(now *group.Run) { now.State, now.Place = group.RunStarting, 0 })
		close(q.queue[0].turn)
		q.queue = q.queue[1:]
	}
	for i, r := range q.queue {
		r.change(func(now *group.Run) { now.Place = i + 1 })
	}
}

// leaveQueue takes a run out of the queue. It reports whether it was there.
func (k *Keeper) leaveQueue(r *run) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.runs.queue, r)
	if i < 0 {
		return false
	}
	k.runs.queue = slices.Delete(k.runs.queue, i, i+1)
	k.nextRuns()
	return true
}

// releaseTurn lets the next run start.
func (k *Keeper) releaseTurn() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs.active--
	k.nextRuns()
}

// runOf returns a run, also one that is over. The error is ErrNoRun.
func (k *Keeper) runOf(ctx context.Context, id string) (*run, error) {
	if err := k.waitKnown(ctx); err != nil {
		return nil, err
	}
	if r := k.knownRun(id); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("run %q: %w", id, group.ErrNoRun)
}

// knownRun returns a run, or nil.
func (k *Keeper) knownRun(id string) *run {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runs.all[id]
}

// Runs returns the runs that are known, the oldest first.
func (k *Keeper) Runs() []group.Run {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]group.Run, 0, len(k.runs.all))
	for _, r := range k.runs.all {
		all = append(all, r.status())
	}
	slices.SortFunc(all, func(a, b group.Run) int { return cmp.Or(a.Queued.Compare(b.Queued), cmp.Compare(a.ID, b.ID)) })
	return all
}

// RunCounts returns how many runs there are, and how those have ended that this daemon has seen
// end.
func (k *Keeper) RunCounts() group.RunCounts {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.runs.counts
	n.Active, n.Queued = k.runs.active, len(k.runs.queue)
	return n
}

// RunOf returns what is known of a run. The error is ErrNoRun.
func (k *Keeper) RunOf(ctx context.Context, id string) (group.Run, error) {
	r, err := k.runOf(ctx, id)
	if err != nil {
		return group.Run{}, err
	}
	return r.status(), nil
}

// WaitRun waits until a run is over, and returns its result. It is no caller of the run: one that
// is not detached is ended meanwhile.
func (k *Keeper) WaitRun(ctx context.Context, id string) (group.Run, error) {
	r, err := k.runOf(ctx, id)
	if err != nil {
		return group.Run{}, err
	}
	if err := k.awaitRun(ctx, r.over); err != nil {
		return group.Run{}, err
	}
	return r.status(), nil
}

func (k *Keeper) awaitRun(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.stopped:
		return runner.ErrStopping
	}
}

// stopRun ends a run and waits until it is over. A kept run loses what is kept of it.
func (k *Keeper) stopRun(ctx context.Context, r *run) error {
	r.end(&hint.Error{Err: errors.New("it was stopped")})
	return k.awaitRun(ctx, r.settled)
}

// removeRun ends a run and forgets it.
func (k *Keeper) removeRun(ctx context.Context, r *run) error {
	if err := k.stopRun(ctx, r); err != nil {
		return err
	}
	k.forgetRun(r)
	return nil
}

// forgetRun forgets a run that is over.
func (k *Keeper) forgetRun(r *run) {
	k.mu.Lock()
	delete(k.runs.all, r.id)
	k.mu.Unlock()
	if err := k.config.Runs.Forget(r.id); err != nil {
		k.config.Log.Warn(err.Error(), "run", r.id)
	}
}

// runStatus returns the status of a run without a runner: it is queued. The caller holds mu.
func (k *Keeper) runStatus(r *run) group.Status {
	now := r.status()
	st := starting(&store.Wanted{Group: r.definition, File: now.File}, "")
	st.State = group.Pending
	if now.Place > 0 {
		st.Waiting = fmt.Sprintf("waits for its turn: it has place %d in the queue of runs", now.Place)
	}
	return st
}

// publishesInRun returns the run that publishes a port of the host, or "". The caller holds mu.
func (k *Keeper) publishesInRun(p spec.Publish) string {
	for id, r := range k.runs.all {
		if !r.claims || closed(r.settled) {
			continue
		}
		if diags := spec.Conflicts([]spec.Group{r.definition, publishing(p)}); diags.HasErrors() {
			return id
		}
	}
	return ""
}

// publishing returns a group that publishes a port.
func publishing(p spec.Publish) spec.Group {
	return spec.Group{Containers: []spec.Container{{Role: spec.Ambassador, Door: spec.Door{Publish: []spec.Publish{p}}}}}
}

// portOfRun is a [runner.Config.PortInUse] that counts ports of runs too.
func (k *Keeper) portOfRun(inUse func(spec.Publish) (string, error)) func(spec.Publish) (string, error) {
	return func(p spec.Publish) (string, error) {
		k.mu.Lock()
		id := k.publishesInRun(p)
		k.mu.Unlock()
		if id != "" {
			return "run " + id, nil
		}
		if inUse == nil {
			return "", nil
		}
		return inUse(p)
	}
}

// openRuns takes over the runs that an earlier daemon has left. The caller holds mu.
func (k *Keeper) openRuns(records []store.RunRecord, finished []group.Run) {
	q := &k.runs
	for i := range records {
		rec := &records[i]
		r := newRun(rec.Run, rec.Group)
		r.keep, r.input, r.locked = rec.Keep, rec.Input, rec.Locked
		q.all[r.id] = r
		if rec.Run.State.Over() { // all but its removal is done
			close(r.started)
			close(r.over)
		}
		r.mu.Lock()
		r.waitForCaller(k.config.RunGrace)
		r.mu.Unlock()
		if rec.Run.State == group.RunQueued {
			q.queue = append(q.queue, r)
			k.goOn(func(ctx context.Context) { k.keepRun(ctx, r, false) })
			continue
		}
		q.active++
		r.claims = true
		close(r.turn)
		k.goOn(func(ctx context.Context) { k.keepRun(ctx, r, true) })
	}
	slices.SortFunc(q.queue, func(a, b *run) int { return a.now.Queued.Compare(b.now.Queued) })
	for _, run := range finished {
		if q.all[run.ID] != nil {
			continue
		}
		if after := afterBoot(run, k.config.Now()); after != run {
			run = after
			k.writeFinished(run)
		}
		q.all[run.ID] = overRun(run)
	}
}

// afterBoot returns what is known of a run that has left nothing but that.
func afterBoot(run group.Run, now time.Time) group.Run {
	run.Kept, run.Place = false, 0
	if run.State.Over() {
		return run
	}
	run.Error, run.Hint = "the host was rebooted, or lost its run folder", ""
	run.Ended = now
	if run.State == group.RunQueued {
		run.State = group.RunNotRun
	} else {
		run.State = group.RunLost
	}
	return run
}

// letRunsStart is called when the group files are loaded, and so the ports of groups are known.
func (k *Keeper) letRunsStart() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runs.loaded = true
	k.nextRuns()
}

// writeFinished writes down what is known of a run. A failure is logged: after a boot the run is
// not known.
func (k *Keeper) writeFinished(r group.Run) {
	if err := k.config.Runs.Finish(r); err != nil {
		k.config.Log.Warn(err.Error(), "run", r.ID)
	}
}

// pruneRuns forgets the runs that are over for longer than they are to be known, and those that are
// too many.
func (k *Keeper) pruneRuns() {
	k.mu.Lock()
	limits, now := k.runs.limits, k.config.Now()
	var over []*run
	for _, r := range k.runs.all {
		if closed(r.settled) {
			over = append(over, r)
		}
	}
	k.mu.Unlock()
	slices.SortFunc(over, func(a, b *run) int { return b.status().Ended.Compare(a.status().Ended) })
	for i, r := range over {
		if i >= limits.Records || now.Sub(r.status().Ended) > limits.Keep {
			k.forgetRun(r)
		}
	}
}

// pruneRunsInterval is the time between two looks at the runs that are over.
const pruneRunsInterval = 10 * time.Minute

// watchRuns forgets old runs until ctx ends.
func (k *Keeper) watchRuns(ctx context.Context) error {
	tick := time.NewTicker(pruneRunsInterval)
	defer tick.Stop()
	for {
		k.pruneRuns()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runDefinitions returns the definitions of the runs that are not over.
func (k *Keeper) runDefinitions() map[string]spec.Group {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]spec.Group{}
	for id, r := range k.runs.all {
		if !closed(r.settled) {
			all[id] = r.definition
		}
	}
	return all
}

// isRun reports whether a group is that of a run that may have left something on the host. The
// caller holds mu.
func (k *Keeper) isRun(name string) bool {
	r := k.runs.all[name]
	return r != nil && !closed(r.settled)
}
