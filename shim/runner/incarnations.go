package runner

import (
	"github.com/sallyport/sallyport/shim/plan"
)

// Incarnations keeps what a group has printed apart from what an earlier group of its name has.
// Implemented by removed.Logs.
type Incarnations interface {
	// SetEnding marks the output as that of a group that is being removed, or takes the mark away.
	SetEnding(group string, ending bool) error
	// Ending reports whether the output has the mark.
	Ending(group string) bool
	// Retire moves the output of a group away that has nothing running. No output is no error.
	Retire(group string) error
	// Groups returns the groups that have output. It serves to find what removed groups left.
	Groups() ([]string, error)
}

// separateOutput begins a new incarnation of the group's output where one is due. It is called
// before the steps of each pass.
//
// A removal that has begun leaves a mark in the output, before anything stops. If the group is
// wanted again and none of its containers is left, the earlier output moves away before a container
// is created. If a container is left, the group goes on as it was, and so does its output. moved
// reports whether it moved.
func (r *Runner) separateOutput(d desired, o plan.Observed) (moved bool, err error) {
	if r.config.Incarnations == nil {
		return false, nil
	}
	defer r.progress.leave()()
	if d.wanted == nil {
		if !r.ending {
			if err := r.config.Incarnations.SetEnding(r.group, true); err != nil {
				r.log.Warn(err.Error(), "group", r.group) // as on a full disk: only a keeper that dies now misses it
			}
		}
		r.ending, r.endingKnown = true, true
		return false, nil
	}
	if !r.endingKnown {
		r.ending, r.endingKnown = r.config.Incarnations.Ending(r.group), true
	}
	if !r.ending || o.ContainersErr != nil {
		return false, nil
	}
	if moved = len(o.Containers) == 0; moved {
		err = r.config.Incarnations.Retire(r.group)
	} else {
		err = r.config.Incarnations.SetEnding(r.group, false)
	}
	r.ending = err != nil
	return moved, err
}

// retireOutput moves the output of a group away that is gone.
func (r *Runner) retireOutput() error {
	if r.config.Incarnations == nil {
		return nil
	}
	defer r.progress.leave()()
	return r.config.Incarnations.Retire(r.group)
}
