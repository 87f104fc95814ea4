package keeper

import (
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/store"
)

// generationEvent returns the event of a group's new generation, and what made it.
func generationEvent(w store.Wanted) group.Event {
	e := group.Event{Group: w.Group.Name, Kind: group.EventAccepted}
	switch {
	case w.Setback != nil:
		e.Kind = group.EventReverted
		e.Text = fmt.Sprintf("generation %d was taken back, the one before it is put in its place as generation %d: %s", w.Setback.Generation, w.Generation, w.Setback.Why)
	case w.By == group.ByRollback:
		e.Kind, e.Text = group.EventRollback, fmt.Sprintf("an earlier generation is put back as generation %d", w.Generation)
	case w.By == group.ByFile:
		e.Text = fmt.Sprintf("generation %d, by an edit of %s", w.Generation, w.File)
	default:
		e.Text = fmt.Sprintf("generation %d, by %s of %s", w.Generation, w.By, w.File)
	}
	return e
}
