package shim

import (
	"maps"
	"slices"
)

// recall adds what is known to what was just found. The first time it reads what the keeper before has written down. The
// error is not nil as long as that can't be read and matters, and no operator has asked for a start: then what is unclear has not
// ended of its own accord.
func (r *Runner) restoreRecords(in PlanInput, d desired) (Observed, error) {
	o := in.Observed
	if !r.restored {
		h, err := r.config.Store.Lives(r.group)
		if err != nil {
			unclear := in.unclear()
			if !d.start && (o.ContainersErr != nil || len(unclear) > 0) {
				return o, err
			}
			r.log.Warn("goes on without it: "+err.Error(), "group", r.group)
			h = History{}
			for _, s := range unclear {
				h[s.Name] = Life{Digest: s.Digest, Made: s.Made, Taken: true}
			}
		} else {
			r.saved = h.noted()
		}
		r.records, r.restored = h.resumed(r.config.Now()), true
	}
	if in.toRun() != nil && o.begins() {
		r.records = r.records.begun(d.restart)
	}
	if d.start {
		r.records = r.records.forgiven(slices.Collect(maps.Keys(r.records))...)
	}
	return o.recalled(r.records), nil
}

// noteLives writes down what of the history is to outlive the keeper, where that has changed. What can't be written down keeps nobody from
// what is to be done: the next keeper knows less then.
func (r *Runner) saveRecords() {
	h := r.records.noted()
	if !r.restored || r.saved != nil && maps.EqualFunc(h, r.saved, Life.same) {
		return
	}
	err := r.config.Store.SetLives(r.group, r.records)
	if r.saved = h; err != nil {
		r.saved = nil
	}
	if text := errorText(err); text != r.saveFailure {
		r.saveFailure = text
		if err != nil {
			r.log.Warn(text, "group", r.group)
		}
	}
}
