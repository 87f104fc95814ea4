package runner

import (
	"cmp"
	"context"
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/store"
)

// judgeRollout decides what the reconciliation of seq means for the wanted generation, and acts on
// it. A generation that has become ready in time is recorded as proved. One that has not is
// reverted. why is the problem of the group: err, or the error for a late generation. again
// reports whether the generation was reverted, so that something else is wanted by now.
func (r *Runner) judgeRollout(ctx context.Context, in plan.Input, seq int, state group.State, err error) (why error, again bool) {
	d, now := r.desiredNow()
	if d.wanted == nil {
		r.rollout = plan.Rollout{}
	}
	if d.wanted == nil || now != seq {
		return err, false
	}
	g := d.wanted
	if g.Proved {
		r.rollout = plan.HealthyRollout(g.Generation)
	}
	s := plan.RolloutSample{
		Known:   in.Observed.Unknown(in.ToRun()) == nil && in.EndedErr == nil,
		Ready:   ready(in, state, err),
		Ended:   in.Ended != nil,
		Stopped: in.Stopped,
		GiveUp:  r.rollout.GiveUp(in),
	}
	var v plan.RolloutVerdict
	r.rollout, v = r.rollout.Observe(g.Generation, g.Group.Update, s, in.Now)
	if v == plan.RolloutHealthy {
		r.recordOutcome(ctx, g.Generation, group.Proved, "")
	}
	if !r.rollout.Late() {
		return err, false
	}
	late := r.rollout.Failing(in, state, err)
	if v == plan.RolloutLate {
		r.revertErr = nil
		if g.Group.Update.AutoRevert && g.Revertible() {
			if r.revertErr = r.owner.Revert(ctx, r, *g, late); r.revertErr == nil {
				return err, true
			}
		}
		r.recordOutcome(ctx, g.Generation, group.NotReady, hint.OneLine(late.Error()))
		r.recordedState = "" // the event of the state comes once more, with the verdict
	}
	return lateError(late, g, r.revertErr), false
}

// ready reports whether all of the group is as it should be, by the answers of its probes. A caller
// that has asked for the change waits for that, and for no verdict.
func ready(in plan.Input, state group.State, err error) bool {
	return err == nil && (state == group.Completed || state == group.Scheduled || state == group.Running && in.Ready())
}

// lateError returns the error for a generation that stays although it is late. revertErr is why it
// could not be reverted. A nil revertErr means that this was not tried.
func lateError(why error, w *store.Wanted, revertErr error) error {
	text := fmt.Errorf("generation %d: %w", w.Generation, why)
	advice := cmp.Or(hint.Of(why), fmt.Sprintf("see \"sallyport status %s\" and the logs", w.Group.Name))
	switch {
	case revertErr != nil:
		text = fmt.Errorf("%w; it can't be taken back: %w", text, revertErr)
		advice = cmp.Or(hint.Of(revertErr), advice)
	case w.Generation > 1:
		advice += fmt.Sprintf("; \"sallyport rollback %s\" goes back", w.Group.Name)
	}
	return &hint.Error{Err: text, Hint: advice}
}

// recordOutcome records the outcome of a generation. A failure is logged and stops nothing: the
// first reconciliation of the next daemon records it.
func (r *Runner) recordOutcome(ctx context.Context, number int, o group.Outcome, why string) {
	if err := r.owner.RecordOutcome(ctx, r.group, number, o, why); err != nil && ctx.Err() == nil {
		r.log.Warn("record the outcome of a generation: "+err.Error(), "group", r.group, "generation", number)
	}
}
