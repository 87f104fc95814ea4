package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// settleLimit is how long Settle waits for a group that is not ready, beyond the time that was
// asked for. A generation on trial has its own limit before that.
const settleLimit = 2 * time.Minute

// Settle waits until the group has been running for d without a break, and returns an error if a
// container ends before that. If its generation is on trial, Settle also waits for the verdict. A
// group that has completed, or is stopped, has settled. The error for an unknown group is
// ErrNoGroup. progress, which may be nil, gets a line each time that something else keeps the group
// from being ready. The line of an end has the last line of output.
func (k *Keeper) Settle(ctx context.Context, name string, d time.Duration, progress func(line string)) error {
	if err := k.waitLoadedWith(ctx, progress); err != nil {
		return err
	}
	k.mu.Lock()
	r, ok := k.runners[name]
	generation := k.wanted[name].Generation
	k.mu.Unlock()
	if !ok {
		return group.ErrNoGroup
	}
	began := k.config.Now()
	s := settling{name: name, d: d, generation: generation, began: began, end: began.Add(d + settleLimit)}
	for {
		w, st, changed := r.Watch()
		now := k.config.Now()
		next, waits, err := s.look(w, st, now)
		if s.isNew(st, waits) && waits != "" && progress != nil {
			progress(name + ": " + waits)
		}
		if err != nil {
			return &hint.Error{Err: fmt.Errorf("group %s: %w", name, err), Hint: cmp.Or(hint.Of(err), st.Hint)}
		}
		if !next.After(now) {
			return nil
		}
		if err := k.waitChange(ctx, changed, next.Sub(now)); err != nil {
			return err
		}
	}
}

// waitChange waits for a change, at most for that long.
func (k *Keeper) waitChange(ctx context.Context, changed <-chan struct{}, longest time.Duration) error {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.stopped:
		return runner.ErrStopping
	}
	return nil
}

// A settling holds what Settle waits for.
type settling struct {
	name       string
	d          time.Duration
	generation int
	began      time.Time
	end        time.Time // of the wait for a group that is not ready
	waits      string    // at the last look
	ends       int       // in a row, of all containers, at the last look
}

// isNew reports whether something else keeps the group from being ready than at the last look. The
// next end of a container is something else.
func (s *settling) isNew(st group.Status, waits string) bool {
	ends := 0
	for _, c := range st.Containers {
		ends += c.EndsInARow
	}
	same := waits == s.waits && ends == s.ends
	s.waits, s.ends = waits, ends
	return !same
}

// look returns when the group has settled if its status does not change, or when to look again.
// waits names what keeps it from being ready. An error that leaves the group running is not about
// its containers, and does not count. Where the generation is taken back, the one before runs again
// when look returns that.
func (s *settling) look(w *store.Wanted, st group.Status, now time.Time) (next time.Time, waits string, err error) {
	switch {
	case w == nil || st.State == group.Gone:
		return next, "", errors.New("was removed meanwhile")
	case w.Generation != s.generation && w.Setback == nil:
		return next, "", fmt.Errorf("another definition was put in the place of this one meanwhile: generation %d", w.Generation)
	case w.Generation != s.generation:
		if st.Generation == w.Generation && st.State == group.Running {
			return next, "", w.Setback.Problem(s.name)
		}
	case !st.TrialEnds.IsZero():
		s.end = st.TrialEnds.Add(settleLimit)
	case st.State == group.Running && st.Since.After(now): // the clock was set back since
		return s.began.Add(s.d), "", nil
	case st.State == group.Running:
		return st.Since.Add(s.d), "", nil
	case st.Error != "":
		return next, endsText(st), errors.New(st.Error)
	case st.State == group.Completed, st.State == group.Stopped, st.State == group.Scheduled:
		return now, "", nil
	}
	if !s.end.After(now) {
		why := cmp.Or(st.Error, st.Waiting, "it is "+string(st.State))
		err = fmt.Errorf("not ready after %s: %s", now.Sub(s.began).Round(time.Second), why)
	}
	return s.end, cmp.Or(endsText(st), st.Waiting), err
}

// endsText returns the error of a status, with the last line of output of the container that is
// down. It is for the caller alone, as [runner.LastLine] is. It is empty if there is no error.
func endsText(st group.Status) string {
	if st.Error == "" {
		return ""
	}
	for _, c := range st.Containers {
		if text := runner.LastLine(st.Containers, c.Name); c.Task == host.TaskStopped && text != "" {
			return st.Error + text
		}
	}
	return st.Error
}
