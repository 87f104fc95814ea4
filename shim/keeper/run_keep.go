package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A run has these steps. Each that is to outlive the daemon is in its record before it is done.
//
//	turn ─► buildRun: ports, volumes, images, record ─► the runner builds it ─► its app ends
//	  │         │                                             │                     │
//	  └─────────┴──── stop, timeout, no caller, failure ──────┴─────────────────────┤
//	                                                                                ▼
//	                                                        the runner removes it ─► result

// removalSlack is how long a removal may take beyond the grace of its containers before the result
// is told all the same.
const removalSlack = 15 * time.Second

// mostEndsOfRun is how often a container may end before the app has run, until the run is given up.
const mostEndsOfRun = 3

// keepRun keeps a run until nothing of it is left, or ctx ends. With adopted, an earlier daemon has
// begun it.
func (k *Keeper) keepRun(ctx context.Context, r *run, adopted bool) {
	select {
	case <-r.turn:
	case <-r.ending:
		if k.leaveQueue(r) {
			k.finishRun(r)
			k.settleRun(r)
			return
		}
	case <-ctx.Done():
		return
	}
	release := sync.OnceFunc(k.releaseTurn)
	defer release()
	var holds imageHolds
	defer holds.releaseAll()
	var waiter *runner.Waiter
	var rn *runner.Runner
	if adopted {
		k.holdImages(ctx, r, &holds)
		rn, waiter = k.adoptRun(r)
	} else {
		images, err := k.buildRun(ctx, r, &holds)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.end(err)
		}
		if closed(r.ending) {
			k.finishRun(r)
			k.settleRun(r)
			return
		}
		rn, waiter = k.startRun(r, images)
	}
	if rn == nil { // the daemon is stopping
		return
	}
	if k.superviseRun(ctx, r, rn, waiter, release) {
		k.settleRun(r)
	}
}

// buildRun makes sure that a run can be built, as an apply does, and writes down that it begins. It
// ends early when the run is to end.
func (k *Keeper) buildRun(ctx context.Context, r *run, holds *imageHolds) (map[string]host.Image, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching := make(chan struct{})
	defer close(watching)
	go func() {
		select {
		case <-r.ending:
			cancel()
		case <-watching:
		}
	}()
	if err := k.claimPorts(r); err != nil {
		return nil, err
	}
	for _, p := range runner.NewPorts(nil, &r.definition) {
		taken, err := k.runConfig.PortTaken(p)
		if err != nil {
			return nil, fmt.Errorf("ask who uses port %s: %w", p.HostPort(), err)
		}
		if taken != nil {
			return nil, taken
		}
	}
	if err := k.config.Volumes.Check(ctx, &r.definition); err != nil {
		return nil, err
	}
	images, err := k.runImages(ctx, r, holds)
	if err != nil {
		return nil, err
	}
	if err := k.config.Runs.Add(r.record()); err != nil {
		return nil, err
	}
	k.writeFinished(r.status())
	k.config.Record(group.Event{Group: r.id, Kind: group.EventAccepted, Text: fmt.Sprintf("run of %s in %s, by %s", r.template, r.now.File, r.now.By)})
	return images, nil
}

// record returns what is kept of the run.
func (r *run) record() store.RunRecord {
	return store.RunRecord{Run: r.status(), Input: r.input, Keep: r.keep, Group: r.definition, Locked: r.locked}
}

// claimPorts makes the ports of a run its own, unless a group or another run has one.
func (k *Keeper) claimPorts(r *run) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w, ok := k.wanted[r.id]; ok {
		return fmt.Errorf("file %s has a group of that name", w.File)
	}
	for _, p := range r.definition.Door().Publish {
		holder := ""
		if id := k.publishesInRun(p); id != "" {
			holder = "run " + id
		}
		if name := k.loaded.Index.Publisher(p); name != "" && r.now.By != bySchedule(name) {
			holder = "group " + name
		}
		if holder != "" {
			return &hint.Error{
				Err:  fmt.Errorf("port %s of the host, which publish %q asks for, belongs to %s", p.HostPort(), p.Name, holder),
				Hint: "give it another port, such as by a variable of the file, or wait until that has ended",
			}
		}
	}
	r.claims = true
	return nil
}

// runImages makes the images of a run present, and keeps them from being removed.
func (k *Keeper) runImages(ctx context.Context, r *run, holds *imageHolds) (map[string]host.Image, error) {
	images := map[string]host.Image{}
	for i := range r.definition.Containers {
		c := &r.definition.Containers[i]
		if _, known := images[c.Image]; known {
			continue
		}
		release, err := k.machine.Hold(ctx, c.Image, r.locked)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Title(), err)
		}
		holds.add(release)
		ctx := host.WithSigners(host.WithPull(ctx, r.definition.PullOf(c.Image)), r.definition.SignersOf(c.Image))
		image, err := k.machine.Image(ctx, c.Image, r.locked)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Title(), err)
		}
		images[c.Image] = image
	}
	return images, nil
}

// holdImages keeps the images of an adopted run from being removed. What can't be held is in use by
// a container, or can't be made present again.
func (k *Keeper) holdImages(ctx context.Context, r *run, holds *imageHolds) {
	for _, c := range r.definition.Containers {
		if release, err := k.machine.Hold(ctx, c.Image, r.locked); err == nil {
			holds.add(release)
		}
	}
}

// wantedRun returns what the runner of a run is to keep.
func wantedRun(r *run) *store.Wanted {
	w := &store.Wanted{Group: r.definition, File: r.now.File, Generation: 1, By: group.ByRun, Proved: true, Keep: r.keep, Pins: r.locked}
	if r.input {
		w.Input = r.app
	}
	return w
}

// startRun makes the runner of a run. A nil runner means that the daemon is stopping.
func (k *Keeper) startRun(r *run, images map[string]host.Image) (*runner.Runner, *runner.Waiter) {
	w, waiter := wantedRun(r), runner.NewWaiter()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.spawn == nil {
		return nil, nil
	}
	k.boundsSoon(&w.Group)
	rn := runner.New(r.id, w, "", &k.runConfig, runOwner{k, r})
	rn.Want(w, images, waiter)
	k.runners[r.id] = rn
	k.spawn(rn)
	return rn, waiter
}

// adoptRun makes the runner of a run that an earlier daemon has begun. It goes on where that was.
func (k *Keeper) adoptRun(r *run) (*runner.Runner, *runner.Waiter) {
	rec, _ := k.config.Runs.Get(r.id)
	k.noteStarts(r, rec.Restarts)
	if rec.Ended != nil {
		r.endWith(rec.Ended)
	}
	rn, waiter := k.startRun(r, nil)
	if rn != nil && (rec.Removing || rec.Ended != nil && !k.staysKept(r, rec.Ended)) {
		r.end(nil)
		rn.Want(nil, nil, nil)
	}
	return rn, waiter
}

// staysKept reports whether a run that has ended stays for a look inside.
func (k *Keeper) staysKept(r *run, e *group.Ended) bool {
	return r.keep && e.State == group.Completed
}

// superviseRun follows a run until its group is gone. It reports whether it is. release is called
// when another run may start.
func (k *Keeper) superviseRun(ctx context.Context, r *run, rn *runner.Runner, waiter *runner.Waiter, release func()) (gone bool) {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan runner.Result, 1)
	waiting.Go(func() {
		if all, err := waiter.Wait(ctx, 1, r.addLine, k.stopped); err == nil {
			results <- all[r.id]
		}
	})
	var changed <-chan struct{} // nil unless a container is started again before the app has run
	var late <-chan time.Time
	ended, ending := r.ended, r.ending
	for {
		select {
		case <-ctx.Done():
			return false
		case res := <-results:
			if k.judgeRun(r, rn, res) {
				changed = k.followEnds(r, rn)
			}
		case <-changed:
			changed = k.followEnds(r, rn)
		case <-ended:
			ended = nil
			if !closed(r.ending) { // it is kept
				k.finishRun(r)
				release()
			}
		case <-ending:
			ending = nil
			k.takeDownRun(r, rn)
			timer := time.NewTimer(graceOf(r) + removalSlack)
			defer timer.Stop()
			late = timer.C
		case <-late:
			k.config.Log.Warn("its removal takes long, and its result is told now", "run", r.id)
			k.finishRun(r)
			release()
		case <-r.gone:
			k.finishRun(r)
			return true
		}
	}
}

// graceOf returns how long the containers of a run may take to stop.
func graceOf(r *run) (app time.Duration) {
	var others time.Duration
	for _, c := range r.definition.Containers {
		if c.Name == r.app {
			app = c.Stop.Timeout
		} else {
			others = max(others, c.Stop.Timeout)
		}
	}
	return app + others
}

// judgeRun decides what a result of the runner means. A failure before the app has run ends the
// run, unless a container is started again by its policy. Then it returns true.
func (k *Keeper) judgeRun(r *run, rn *runner.Runner, res runner.Result) (again bool) {
	switch {
	case res.Err == nil, closed(r.ending):
		return false
	case res.Failed != "":
		r.mu.Lock()
		r.notRun = !closed(r.started) || res.Failed == plan.Start // a start is recorded before it is made
		r.mu.Unlock()
	case closed(r.started):
		return false
	case slices.ContainsFunc(rn.Status().Containers, func(c group.ContainerStatus) bool { return !c.NextStart.IsZero() }):
		return true
	}
	r.end(res.Err)
	return false
}

// followEnds ends a run whose app has not started yet and one of whose containers has ended too
// often. It returns a channel that is closed when there is something new. A nil channel means that
// this is over.
func (k *Keeper) followEnds(r *run, rn *runner.Runner) <-chan struct{} {
	_, st, changed := rn.Watch()
	if closed(r.started) || closed(r.ending) {
		return nil
	}
	if slices.ContainsFunc(st.Containers, func(c group.ContainerStatus) bool { return c.EndsInARow >= mostEndsOfRun }) {
		r.end(&hint.Error{Err: errors.New(st.Error), Hint: st.Hint})
		return nil
	}
	return changed
}

// takeDownRun has the runner remove a run. Once its app may have run, that is written down before:
// a daemon that finds it stopped must not take it for one to be started again.
func (k *Keeper) takeDownRun(r *run, rn *runner.Runner) {
	now := r.status()
	if !closed(r.started) { // at once, so that what has failed is not tried again
		k.mu.Lock()
		rn.Want(nil, nil, nil)
		k.mu.Unlock()
	}
	err := k.config.Runs.Update(r.id, func(rec *store.RunRecord) { rec.Removing, rec.Run = true, now })
	if err != nil {
		k.config.Log.Warn(err.Error(), "run", r.id) // a later daemon may go on with it
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	rn.Want(nil, nil, nil)
}

// finishRun makes the result of a run known, and writes it down.
func (k *Keeper) finishRun(r *run) {
	if closed(r.over) {
		return
	}
	now := r.finish(k.config.Now())
	k.mu.Lock()
	k.runs.counts.Add(&now)
	k.mu.Unlock()
	k.writeFinished(now)
	if err := k.config.Runs.Update(r.id, func(rec *store.RunRecord) { rec.Run = now }); err != nil {
		k.config.Log.Warn(err.Error(), "run", r.id)
	}
	k.config.Record(runEvent(&now))
}

// settleRun forgets all of a run but its result. Nothing of it is left on the host.
func (k *Keeper) settleRun(r *run) {
	if now := r.status(); now.Kept {
		k.writeFinished(r.change(func(now *group.Run) { now.Kept = false }))
	}
	if k.config.Processes != nil && r.input {
		if err := k.config.Processes.RemoveInput(r.id, r.app); err != nil {
			k.config.Log.Warn(err.Error(), "run", r.id)
		}
	}
	if err := k.config.Runs.Drop(r.id); err != nil {
		k.config.Log.Warn(err.Error(), "run", r.id)
	}
	k.mu.Lock()
	k.leaveImages(store.Wanted{Group: r.definition})
	r.definition = spec.Group{} // it may hold much
	close(r.settled)
	k.mu.Unlock()
	k.schedules.wake()
	k.pruneSoon()
}

// runEvent returns the event of the end of a run.
func runEvent(r *group.Run) group.Event {
	text := string(r.State)
	if r.ExitStatus != nil {
		text += fmt.Sprintf(" with status %d", *r.ExitStatus)
	}
	if !r.Started.IsZero() {
		text += fmt.Sprintf(" after %s", r.Ended.Sub(r.Started).Round(time.Millisecond))
	}
	if r.Denied > 0 {
		text += fmt.Sprintf(", %d packets were denied", r.Denied)
	}
	if r.Error != "" {
		text += ": " + r.Error
	}
	return group.Event{Group: r.ID, Kind: group.EventRun, Text: text, ExitStatus: r.ExitStatus}
}

// runRecords is the [runner.RecordStore] of the runs. It notices what the runners record.
type runRecords struct {
	*store.Runs
	k *Keeper
}

// SetEnded implements [runner.RecordStore]. It is called by the goroutine of the run's runner.
func (s runRecords) SetEnded(id string, e *group.Ended) error {
	if err := s.Runs.SetEnded(id, e); err != nil || e == nil {
		return err
	}
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	r, rn := s.k.runs.all[id], s.k.runners[id]
	if r == nil || rn == nil {
		return nil
	}
	kept := s.k.staysKept(r, e)
	if !kept {
		r.end(nil) // first: a run whose app has ended, and that is not to be removed, is kept
	}
	if r.endWith(e); !kept {
		rn.Want(nil, nil, nil) // at once: what it would do about the end is done by that, too
	}
	return nil
}

// SetRestarts implements [runner.RecordStore].
func (s runRecords) SetRestarts(id string, h restart.Records) error {
	if err := s.Runs.SetRestarts(id, h); err != nil {
		return err
	}
	if r := s.k.knownRun(id); r != nil {
		s.k.noteStarts(r, h)
	}
	return nil
}

// noteStarts notes that the app of a run has begun, if it has. A daemon that was killed may have
// started one that ended before this daemon began: only its end is known then.
func (k *Keeper) noteStarts(r *run, h restart.Records) {
	x := h[r.app]
	at := x.StartedAt
	if at.IsZero() && x.Ended && x.ExitStatus != nil {
		at = x.EndedAt
	}
	if !at.IsZero() && !closed(r.started) {
		r.start(at)
		now := r.status()
		if err := k.config.Runs.Update(r.id, func(rec *store.RunRecord) { rec.Run = now }); err != nil {
			k.config.Log.Warn(err.Error(), "run", r.id)
		}
	}
}

// A runOwner is the keeper as the runner of a run sees it. A run has one generation, which is not
// judged, and whose images are held.
type runOwner struct {
	*Keeper
	run *run
}

// RecordOutcome implements [runner.Owner].
func (runOwner) RecordOutcome(context.Context, string, int, group.Outcome, string) error { return nil }

// Revert implements [runner.Owner].
func (runOwner) Revert(context.Context, *runner.Runner, store.Wanted, error) error {
	return errors.New("a run has no generation before")
}

// RecordDigests implements [runner.Owner].
func (runOwner) RecordDigests(context.Context, string, int, group.ImageDigests) error { return nil }

// KeptGenerations implements [runner.Owner].
func (runOwner) KeptGenerations(context.Context, string) ([]int, error) { return nil, nil }

// Drop implements [runner.Owner].
func (o runOwner) Drop(_ context.Context, rn *runner.Runner, seq int) bool {
	if !(owner{o.Keeper}).dropRunner(rn, seq) {
		return false
	}
	close(o.run.gone)
	return true
}

// beforeRunStep is a [runner.Config.Before]. Before the network of a run goes, it notes what was
// denied there.
func (k *Keeper) beforeRunStep(before func(string, plan.Step)) func(string, plan.Step) {
	return func(name string, s plan.Step) {
		if before != nil {
			before(name, s)
		}
		if s.Kind != plan.Disconnect || k.config.Denied == nil {
			return
		}
		if r := k.knownRun(name); r != nil {
			n := k.config.Denied(name)
			r.change(func(now *group.Run) { now.Denied = cmp.Or(n, now.Denied) })
		}
	}
}
