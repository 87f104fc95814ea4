package shim

import (
	"maps"
	"slices"
)

// recall adds what is known to what was just found. The first time it reads what the keeper before has written down. The
// error is not nil as long as that can't be read and matters, and no operator has asked for a start: then what is unclear has not
// ended of its own accord.
func (r *Runner) recall(in PlanInput, w wish) (Observed, error) {
	o := in.Observed
	if !r.recalled {
		h, err := r.config.Store.Lives(r.group)
		if err != nil {
			unclear := in.unclear()
			if !w.start && (o.ContainersErr != nil || len(unclear) > 0) {
				return o, err
			}
			r.log.Warn("goes on without it: "+err.Error(), "group", r.group)
			h = History{}
			for _, s := range unclear {
				h[s.Name] = Life{Digest: s.Digest, Made: s.Made, Taken: true}
			}
		} else {
			r.notes = h.noted()
		}
		r.history, r.recalled = h.resumed(r.config.Now()), true
	}
	if in.toRun() != nil && o.begins() {
		r.history = r.history.begun(w.restart)
	}
	if w.start {
		r.history = r.history.forgiven(slices.Collect(maps.Keys(r.history))...)
	}
	return o.recalled(r.history), nil
}

// noteLives writes down what of the history is to outlive the keeper, where that has changed. What can't be written down keeps nobody from
// what is to be done: the next keeper knows less then.
func (r *Runner) noteLives() {
	h := r.history.noted()
	if !r.recalled || r.notes != nil && maps.EqualFunc(h, r.notes, Life.same) {
		return
	}
	err := r.config.Store.SetLives(r.group, r.history)
	if r.notes = h; err != nil {
		r.notes = nil
	}
	if text := errorText(err); text != r.unnoted {
		r.unnoted = text
		if err != nil {
			r.log.Warn(text, "group", r.group)
		}
	}
}
