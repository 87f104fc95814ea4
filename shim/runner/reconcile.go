package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// maxRepeats is how many plans of one reconciliation may begin with the same step. Beyond that the
// group does not settle. Normally one does.
const maxRepeats = 5

// reconcile observes, plans and acts until there is nothing to do or something fails. It returns
// when to reconcile again, and whether the group is gone for good.
func (r *Runner) reconcile(ctx context.Context) (next time.Time, gone bool) {
	done := map[string]int{} // by the first step of a plan
	for {
		r.seeWakes()
		d, seq := r.desiredNow()
		r.passOnOutput(d)
		in := r.observe(ctx, d)
		if ctx.Err() != nil {
			return time.Time{}, false
		}
		if end := in.Ending(); end != nil {
			r.reportEnds(in, r.addOutput(in, plan.ContainerStatuses(in)), seq) // nothing is left to report later
			end.Generation = d.generation()
			if err := r.config.Records.SetEnded(r.group, end); err != nil {
				return r.failed(ctx, d, seq, plan.Step{}, err), false
			}
			r.endRecorded()
			continue
		}
		switch moved, err := r.separateOutput(d, in.Observed); {
		case err != nil:
			return r.failed(ctx, d, seq, plan.Step{}, err), false
		case moved:
			continue // what else is in the group's log folder is made again
		}
		r.rollout = r.rollout.Follow(d.generation(), in)
		steps := plan.Steps(in)
		r.detectDrift(in, seq, steps)
		problem := r.lastError
		if len(steps) == 0 { // nothing else is to come: an end must not be seen without its error
			problem = plan.Problem(in)
		}
		state := r.updateStatus(in, problem, len(steps) > 0)
		r.reportEnds(in, r.Status().Containers, seq)
		if len(steps) > 0 && (len(r.drift) == 0 || r.repairs.Due(in.Now)) { // not each time that others change it again
			r.recordState(state, nil)
		}
		switch {
		case len(steps) == 0:
			r.noteBuilt(in, state, seq) // at once: what settled records waits for the right to the store
			return r.settled(ctx, in, seq)
		case done[steps[0].String()] == maxRepeats:
			return r.failed(ctx, d, seq, steps[0], fmt.Errorf("repeated %d times without lasting effect: %s", maxRepeats, steps[0])), false
		}
		done[steps[0].String()]++
		if failed, err := r.executeAll(ctx, d, seq, steps); err != nil {
			return r.failed(ctx, d, seq, failed, err), false
		}
		if _, now := r.desiredNow(); now != seq {
			clear(done)
		}
	}
}

// observe observes the host, adds the result to the records and saves them.
func (r *Runner) observe(ctx context.Context, d desired) plan.Input {
	in := plan.Input{Group: r.group, Previous: d.was, Restart: d.restart, Layout: r.config.Layout, Passed: d.passed, Once: r.config.Once}
	if d.wanted != nil {
		in.Want, in.Stopped, in.Digests, in.Keep = &d.wanted.Group, d.wanted.Stopped, d.wanted.Pins, d.wanted.Keep
	}
	var undone bool
	in.Ended, undone, in.EndedErr = r.loadEnded(d)
	r.looked, r.calm = r.config.Now(), nil
	in.Reread = d.reread
	in.Observed = r.machine.Observe(ctx, r.group, in.ToRun())
	if ctx.Err() == nil {
		r.noteSecrets(in)
	}
	in.Restart = d.uncopied.restarts(d.restart, in.Observed.Containers)
	o, err := r.restoreRecords(in, d)
	in.Observed, in.EndedErr = o, cmp.Or(in.EndedErr, err)
	if in.Observed.ContainersErr == nil {
		r.probes.Follow(ctx, in.ToRun(), in.Observed.Containers)
	}
	in.Health = r.probes.Health()
	in.Now = r.config.Now()
	if undone { // containers that have ended and are not down yet are replaced as well
		r.records = r.records.ReplaceEnded(o.Containers)
	}
	r.records = r.records.Relevant(in.Want, o.Containers, o.ContainersErr == nil).Observe(in.Want, o.Containers, in.Now, r.config.Rand)
	if ctx.Err() == nil {
		r.saveRecords()
	}
	in.Records, in.Reloads = r.records, r.failedReloads(in)
	if ctx.Err() == nil {
		in.RunEnds = r.followRun(in, d.restart)
	}
	return in
}

// executeAll does the steps of a plan, until something else is wanted. It returns the first that
// failed.
func (r *Runner) executeAll(ctx context.Context, d desired, seq int, steps []plan.Step) (failed plan.Step, err error) {
	images, end := r.retainEarly(r.withTransfers(ctx, seq), d, steps)
	defer end()
	prepared := false
	for i, s := range steps {
		if _, now := r.desiredNow(); now != seq {
			break
		}
		if create := plan.Replacement(steps[i:]); create != nil && !prepared {
			if err := r.prepare(r.withTransfers(ctx, seq), d, *create); err != nil {
				return *create, err
			}
			prepared = true
		}
		if err := r.execute(ctx, d, seq, s, images); err != nil {
			return s, err
		}
	}
	return plan.Step{}, nil
}

// execute does one step, and reports and records it. A stop is recorded before it is done: its
// answer may be lost, or may reach only the next keeper. So is a start of a run, whose app must not
// be started again.
func (r *Runner) execute(ctx context.Context, d desired, seq int, s plan.Step, images imageSource) error {
	r.report(seq, "%s", s)
	if s.Kind == plan.Stop {
		for _, t := range s.Targets {
			r.records = r.records.Stopped(t.Name, t.Reason)
		}
		r.saveRecords()
	}
	if r.config.Before != nil {
		r.config.Before(r.group, s)
	}
	switch s.Kind {
	case plan.Connect:
		if err := r.checkPorts(s.Want); err != nil {
			return err
		}
	case plan.Start:
		r.beginRun(s.Want)
	case plan.Hold:
		r.secretsReread() // first: if it is asked for meanwhile, they are read once more
	}
	if s.Kind == plan.Start && r.config.Once {
		r.noteStart(d, s)
		r.saveRecords()
	}
	began := r.config.Now()
	r.acted = true
	err := r.machine.withInput(d).Execute(r.withTransfers(ctx, seq), s, d.generation(), images)
	took := r.config.Now().Sub(began)
	if r.config.Trace != nil {
		r.config.Trace(r.group, s, took)
	}
	if s.Kind == plan.Reload && errors.Is(err, host.ErrEnded) {
		return nil // the next observation has its end
	}
	if err != nil {
		return err
	}
	r.log.Info(s.String(), "group", r.group, "took", took)
	for _, t := range s.Targets {
		switch s.Kind {
		case plan.Remove, plan.Create:
			r.restartDone(t.Name)
		case plan.Reload:
			delete(r.reloads, t.Name)
			r.probes.Reloaded(t.Name)
			r.record(reloadedEvent(r.group, t))
		}
	}
	if s.Kind == plan.Start && !r.config.Once {
		r.noteStart(d, s)
	}
	return nil
}

// noteStart records the start of containers.
func (r *Runner) noteStart(d desired, s plan.Step) {
	for _, t := range s.Targets {
		digest, last := d.wanted.Group.Container(t.Name).Digest, r.records[t.Name]
		switch {
		case last.Ended && last.Digest == digest:
			r.record(restartedEvent(r.group, t.Name, last))
		case last.Lost(digest):
			r.record(lostEvent(r.group, t.Name))
		}
		r.records = r.records.Started(t.Name, digest, r.config.Now())
	}
}

// settled ends a reconciliation that has nothing to do. It returns when to reconcile again, and
// whether the group is gone for good.
func (r *Runner) settled(ctx context.Context, in plan.Input, seq int) (next time.Time, gone bool) {
	now := in.Now
	turn := r.turn(now)
	next = turn
	if at := plan.Next(in); !at.IsZero() && at.Before(next) {
		next = at
	}
	r.ignoreHost = false
	if in.ToRun() == nil || in.Observed.Net.Link == host.Present {
		r.connected = in.ToRun()
	}
	r.recordDigests(ctx, in, seq)
	defer r.retainImages(ctx, in, seq) // the callers need not wait for it
	unknown := in.Observed.Unknown(in.Want)
	r.noteUnknown(in, unknown)
	if unknown == nil {
		r.failures, r.settledSeq = 0, seq
		r.recordRepairs(nil)
	} else {
		r.failures++
		r.counts.failures.Add(1)
		next = now.Add(min(r.config.Resync, restart.Backoff(r.failures, r.config.Rand())))
	}
	err, again := r.judgeRollout(ctx, in, seq, r.stateAt(in), plan.Problem(in))
	if again {
		return now, false
	}
	if at := r.rollout.NextCheck(in.Update()); !at.IsZero() && at.Before(next) {
		next = at
	}
	r.lastError = err
	state := r.updateStatus(in, err, false)
	waits := plan.Blocked(in)
	r.recordGivenUp(in, state)
	if err == nil && state == group.Degraded && waits != "" {
		r.recordState(state, errors.New(waits))
	}
	r.recordState(state, err)
	if err == nil && waits != "" {
		if at := r.notifyWaiting(in, seq, state, waits); !at.IsZero() && at.Before(next) {
			next = at
		}
		return next, false // the requests go on waiting
	}
	r.notReadySince = time.Time{}
	if state == group.Gone {
		err := r.discardVolumes(ctx, seq)
		if err == nil {
			err = r.machine.release(ctx, r.group)
		}
		if err == nil {
			err = r.retireOutput()
		}
		if err != nil {
			d, _ := r.desiredNow()
			return r.failed(ctx, d, seq, plan.Step{}, err), false
		}
		r.retention.forget()
		gone = r.owner.Drop(ctx, r, seq)
	}
	if at := r.awaitKnown(in, seq, unknown, Result{State: state, Err: err}); !at.IsZero() {
		if at.Before(next) {
			next = at
		}
		return next, false
	}
	if ready(in, state, err) || !r.rollout.Undecided(in.Update()) {
		r.report(seq, "%s", state)
		r.finish(seq, Result{State: state, Err: err})
	}
	if r.isCalm(in, err, next.Equal(turn)) {
		r.calm = in.ToRun()
	}
	return next, gone
}

// failed ends a reconciliation whose step failed. It observes once more, so that the status shows
// what is left, and returns when to try again.
func (r *Runner) failed(ctx context.Context, d desired, seq int, s plan.Step, err error) time.Time {
	if ctx.Err() != nil {
		return time.Time{}
	}
	r.failures++
	r.counts.failures.Add(1)
	r.unknownSince = time.Time{}
	r.ignoreHost, r.lastError = true, err
	r.recordRepairs(err)
	defer r.retainRecorded(ctx, d, seq) // the callers need not wait for it
	if s.Kind == plan.Create {
		r.forgetImages()
	}
	in := r.observe(ctx, d)
	wait := restart.Backoff(r.failures, r.config.Rand())
	err, again := r.judgeRollout(ctx, in, seq, r.stateAt(in), err)
	if again {
		return in.Now
	}
	if at := r.rollout.NextCheck(in.Update()); !at.IsZero() {
		wait = min(wait, at.Sub(in.Now))
	}
	if at := in.RunEnds; at.After(in.Now) {
		wait = min(wait, at.Sub(in.Now))
	}
	state := r.updateStatus(in, err, false)
	r.recordState(state, err)
	if until := r.buildsUntil(seq); s.Builds() && host.Passing(err) && until.After(in.Now) {
		wait = min(wait, until.Sub(in.Now))
		r.log.Warn(err.Error(), "group", r.group, "again_in", wait)
		r.report(seq, "%s; trying again in %s", hint.OneLine(err.Error()), wait)
		return r.config.Now().Add(wait) // the requests go on waiting
	}
	level, now := slog.LevelWarn, false
	if s.Kind == plan.Reload {
		var news bool
		if wait, news = r.noteFailedReload(s, err); !news {
			level = slog.LevelDebug
		}
		now = true
	}
	r.log.Log(ctx, level, err.Error(), "group", r.group, "again_in", wait)
	o := Result{State: state, Err: err}
	if s.Builds() {
		o.Failed = s.Kind
	}
	if s.Builds() || !r.rollout.Undecided(in.Update()) {
		r.finish(seq, o)
	}
	if now { // what else there is to do does not wait for it
		return in.Now
	}
	return r.config.Now().Add(wait)
}

func (d desired) generation() int {
	if d.wanted == nil {
		return 0
	}
	return d.wanted.Generation
}

func (d desired) digests() group.ImageDigests {
	if d.wanted == nil {
		return nil
	}
	return d.wanted.Pins
}

// image returns the image as the last apply resolved it, or else asks the host.
func (d desired) image(m Machine) imageSource {
	return func(ctx context.Context, ref string) (host.Image, error) {
		if i, ok := d.resolved(ref); ok {
			return i, nil
		}
		if d.wanted != nil {
			ctx = host.WithSigners(ctx, d.wanted.Group.SignersOf(ref))
		}
		if d.wanted != nil && d.wanted.Group.PullOf(ref) == spec.PullNever {
			ctx = host.WithPull(ctx, spec.PullNever)
		}
		return m.Image(ctx, ref, d.digests())
	}
}

// resolved returns the image as the last apply resolved it, if that is the one that is wanted.
func (d desired) resolved(ref string) (host.Image, bool) {
	i, ok := d.images[ref]
	digest := d.digests()[ref]
	return i, ok && (digest == "" || digest == i.Digest)
}
