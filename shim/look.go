package shim

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// rounds is how often one look begins a plan with the same step before it says that the group does not settle. Once is the rule.
const rounds = 5

// look observes, plans and acts until there is nothing to do or something fails. It returns when to look again, and whether
// the group is gone for good.
func (r *Runner) look(ctx context.Context) (next time.Time, gone bool) {
	done := map[string]int{} // by the first step of a plan
	for {
		w, seq := r.wishes()
		in := r.observe(ctx, w)
		if ctx.Err() != nil {
			return time.Time{}, false
		}
		if end := in.ending(); end != nil {
			end.Generation = w.generation()
			if err := r.config.Store.SetEnded(r.group, end); err != nil {
				return r.failed(ctx, w, seq, Step{}, err), false
			}
			continue
		}
		steps := Plan(in)
		r.drifted(in, seq, steps)
		state := r.publish(in, r.lastError, len(steps) > 0)
		if len(steps) > 0 && (len(r.drift) == 0 || r.mends.due(in.Now)) { // or it is put back as often as it is changed
			r.enter(state, nil)
		}
		switch {
		case len(steps) == 0:
			return r.settled(ctx, in, seq)
		case done[steps[0].String()] == rounds:
			return r.failed(ctx, w, seq, steps[0], errors.New("done over and over, it does not last: "+steps[0].String())), false
		}
		done[steps[0].String()]++
		prepared := false
		for i, s := range steps {
			if _, now := r.wishes(); now != seq {
				break // something else is wanted by now
			}
			if create := replaces(steps[i:]); create != nil && !prepared {
				if err := r.prepare(ctx, w, *create); err != nil {
					return r.failed(ctx, w, seq, *create, err), false
				}
				prepared = true
			}
			if err := r.act(ctx, w, seq, s); err != nil {
				return r.failed(ctx, w, seq, s, err), false
			}
		}
		if _, now := r.wishes(); now != seq {
			clear(done)
		}
	}
}

// observe looks at the host, adds what it saw to the history and notes it.
func (r *Runner) observe(ctx context.Context, w wish) PlanInput {
	in := PlanInput{Group: r.group, Was: w.was, Restart: w.restart, Layout: r.config.Store.Layout()}
	if w.wanted != nil {
		in.Want, in.Stopped, in.Pins = &w.wanted.Group, w.wanted.Stopped, w.wanted.Pins
	}
	var undone bool
	in.Ended, undone, in.EndedErr = r.howEnded(w)
	in.Observed = r.host.Observe(ctx, r.group, in.toRun())
	o, err := r.recall(in, w)
	in.Observed, in.EndedErr = o, cmp.Or(in.EndedErr, err)
	if in.Observed.ContainersErr == nil {
		r.pulse.Follow(ctx, in.toRun(), in.Observed.Containers)
	}
	in.Health = r.pulse.Health()
	in.Now = r.config.Now()
	if undone { // what has ended and is not down yet is made anew as well
		r.history = r.history.taken(o.Containers)
	}
	r.history = r.history.of(in.Want, o.Containers, o.ContainersErr == nil).seen(o.Containers, in.Now, r.config.Rand)
	if ctx.Err() == nil {
		r.noteLives()
	}
	in.History = r.history
	return in
}

// act does one step, tells of it and takes note of it. A stop is noted before: its answer may be lost, or
// be the next keeper's to hear.
func (r *Runner) act(ctx context.Context, w wish, seq int, s Step) error {
	r.tell(seq, "%s", s)
	if s.Kind == Stop {
		for _, t := range s.Targets {
			r.history = r.history.stopped(t.Name, t.Because)
		}
		r.noteLives()
	}
	if r.config.Before != nil {
		r.config.Before(r.group, s)
	}
	if s.Kind == Connect {
		if err := r.portsFree(s.Want); err != nil {
			return err
		}
	}
	began := r.config.Now()
	r.acted = true
	err := r.host.Execute(ctx, s, w.generation(), w.image(r.host))
	took := r.config.Now().Sub(began)
	if r.config.Trace != nil {
		r.config.Trace(r.group, s, took)
	}
	if err != nil {
		return err
	}
	r.log.Info(s.String(), "group", r.group, "took", took)
	for _, t := range s.Targets {
		switch s.Kind {
		case Remove, Create:
			r.restarted(t.Name)
		case Start:
			if l := r.history[t.Name]; l.Ended && l.Digest == w.wanted.Group.Container(t.Name).Digest {
				r.record(restartedEvent(r.group, t.Name, l))
			}
			r.history = r.history.started(t.Name, w.wanted.Group.Container(t.Name).Digest, r.config.Now())
		}
	}
	return nil
}

// settled ends a look that has nothing to do.
func (r *Runner) settled(ctx context.Context, in PlanInput, seq int) (next time.Time, gone bool) {
	now := in.Now
	next = now.Add(r.config.Resync)
	if at := Next(in); !at.IsZero() && at.Before(next) {
		next = at
	}
	r.deaf = false
	if in.toRun() == nil || in.Observed.Net.Link == Present {
		r.connected = in.toRun()
	}
	r.pinImages(ctx, in, seq)
	r.holdImages(ctx, in, seq)
	if in.Observed.unknown(in.Want) == nil {
		r.fails, r.calm = 0, seq
		r.mended(nil)
	} else {
		r.fails++
		next = now.Add(min(r.config.Resync, backoff(r.fails, r.config.Rand())))
	}
	err, again := r.tried(ctx, in, seq, r.stateAt(in), complaint(in))
	if again {
		return now, false
	}
	if at := r.trial.next(in.update()); !at.IsZero() && at.Before(next) {
		next = at
	}
	r.lastError = err
	state := r.publish(in, err, false)
	waits := awaits(in)
	if err == nil && state == Degraded && waits != "" {
		r.enter(state, errors.New(waits))
	}
	r.enter(state, err)
	if err == nil && waits != "" {
		if at := r.await(in, seq, state, waits); !at.IsZero() && at.Before(next) {
			next = at
		}
		return next, false // whoever follows goes on waiting
	}
	r.denied = time.Time{}
	if state == Gone {
		err := r.discard(ctx, seq)
		if err == nil {
			err = r.host.release(ctx, r.group)
		}
		if err != nil {
			w, _ := r.wishes()
			return r.failed(ctx, w, seq, Step{}, err), false
		}
		gone = r.owner.Retire(ctx, r, seq)
	}
	if !r.trial.open(in.update()) {
		r.tell(seq, "%s", state)
		r.finish(seq, Result{State: state, Err: err})
	}
	return next, gone
}

// failed ends a look whose step failed: it looks once more, so that the status tells what is left, and waits.
func (r *Runner) failed(ctx context.Context, w wish, seq int, s Step, err error) time.Time {
	if ctx.Err() != nil {
		return time.Time{}
	}
	r.fails++
	r.deaf, r.lastError = true, err
	r.mended(err)
	if s.Kind == Create {
		r.forgetImages()
	}
	in := r.observe(ctx, w)
	wait := backoff(r.fails, r.config.Rand())
	err, again := r.tried(ctx, in, seq, r.stateAt(in), err)
	if again {
		return in.Now
	}
	if at := r.trial.next(in.update()); !at.IsZero() {
		wait = min(wait, at.Sub(in.Now))
	}
	state := r.publish(in, err, false)
	r.enter(state, err)
	r.log.Warn(err.Error(), "group", r.group, "again_in", wait)
	o := Result{State: state, Err: err}
	if s.builds() {
		o.Failed = s.Kind
	}
	if s.builds() || !r.trial.open(in.update()) {
		r.finish(seq, o)
	}
	return r.config.Now().Add(wait)
}

func (w wish) generation() int {
	if w.wanted == nil {
		return 0
	}
	return w.wanted.Generation
}

// image returns what was resolved by the last apply, and asks the host for the rest.
func (w wish) image(h Machine) func(context.Context, string) (Image, error) {
	var pins Pins
	if w.wanted != nil {
		pins = w.wanted.Pins
	}
	return func(ctx context.Context, ref string) (Image, error) {
		if i, ok := w.images[ref]; ok && (pins[ref] == "" || pins[ref] == i.Digest) {
			return i, nil
		}
		return h.Image(ctx, ref, pins)
	}
}
