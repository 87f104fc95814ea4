package shim

import "fmt"

// generationEvent returns the event of a group's new generation, and what made it.
func generationEvent(w Wanted) Event {
	e := Event{Group: w.Group.Name, Kind: EventAccepted}
	switch {
	case w.Setback != nil:
		e.Kind = EventReverted
		e.Text = fmt.Sprintf("generation %d was taken back, the one before it is put in its place as generation %d: %s", w.Setback.Generation, w.Generation, w.Setback.Why)
	case w.By == ByRollback:
		e.Kind, e.Text = EventRollback, fmt.Sprintf("an earlier generation is put back as generation %d", w.Generation)
	case w.By == ByFile:
		e.Text = fmt.Sprintf("generation %d, by an edit of %s", w.Generation, w.File)
	default:
		e.Text = fmt.Sprintf("generation %d, by %s of %s", w.Generation, w.By, w.File)
	}
	return e
}
