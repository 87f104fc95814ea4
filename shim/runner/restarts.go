package runner

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
)

// restoreRecords completes an observation from the records. The first time it reads what the
// previous keeper saved. It returns an error as long as that cannot be read and matters, unless an
// operator has asked for a start. In that case, containers whose end is uncertain count as not
// ended by themselves.
func (r *Runner) restoreRecords(in plan.Input, d desired) (plan.Observed, error) {
	o := in.Observed
	if !r.restored {
		records, err := r.config.Records.Restarts(r.group)
		if err != nil {
			uncertain := in.Uncertain()
			if !d.start && (o.ContainersErr != nil || len(uncertain) > 0) {
				return o, err
			}
			r.log.Warn("continues without it: "+err.Error(), "group", r.group)
			records = restart.Records{}
			for _, s := range uncertain {
				records[s.Name] = restart.Record{Digest: s.Digest, CreatedAt: s.CreatedAt, Replacing: true}
			}
		} else {
			r.saved = r.toSave(records)
		}
		r.records, r.restored = records.Resumed(in.Want, r.config.Now()), true
	}
	if in.ToRun() != nil && o.FromNothing() && !in.Once { // a run has no boot behind it
		r.records = r.records.FromNothing(d.restart)
		r.records = r.records.Reset(in.SpentBy(r.records)...)
	}
	if d.start {
		r.records = r.records.Reset(slices.Collect(maps.Keys(r.records))...)
	}
	return o.Restored(r.records), nil
}

// toSave returns the records that are to outlive the keeper. Those of a run have each start.
func (r *Runner) toSave(records restart.Records) restart.Records {
	if r.config.Once {
		return records
	}
	return records.ToSave()
}

// saveRecords saves the part of the records that is to outlive the keeper, if it has changed. A
// failure is logged and delays nothing: the next keeper then knows less.
func (r *Runner) saveRecords() {
	save := r.toSave(r.records)
	if !r.restored || r.saved != nil && maps.EqualFunc(save, r.saved, restart.Record.Unchanged) {
		return
	}
	err := r.config.Records.SetRestarts(r.group, r.records)
	if r.saved = save; err != nil {
		r.saved = nil
	}
	if text := hint.Text(err); text != r.saveFailure {
		r.saveFailure = text
		if err != nil {
			r.log.Warn(text, "group", r.group)
		}
	}
}
