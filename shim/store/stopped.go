package store

import (
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// SetStopped records that the group is to be down although it is wanted, or undoes that. It
// outlasts boots. The error for a group that no file defines is ErrNoGroup, also while the group is
// being removed. What can't be read of other groups is no error.
func (s *Store) SetStopped(name string, stopped bool) error {
	known, err := s.mend()
	w, ok := known[name]
	before := w.Stopped
	w.Stopped = stopped
	switch {
	case !ok && err != nil:
		return err
	case !ok || w.File == "" && !w.stub:
		return group.ErrNoGroup
	case w.stub && !stopped:
		return &hint.Error{Err: fmt.Errorf("what is wanted of group %s is lost", name), Hint: "apply its file again"}
	case w.stub: // which is no definition to write down
		return s.markStopped(w, before)
	case before == stopped:
		return nil
	}
	if err := s.keepJSON(s.wantedPath(name), w, durable); err != nil {
		return fmt.Errorf("write down whether group %s is stopped: %w", name, err)
	}
	return nil // the Accept that follows calls markStopped
}

// markStopped makes the mark of a stopped group agree with what is wanted of it. The mark counts
// only if the wanted file is lost: then an operator's stop holds all the same.
func (s *Store) markStopped(w Wanted, marked bool) error {
	path := s.stoppedPath(w.Group.Name)
	switch {
	case w.Stopped == marked:
		return nil
	case w.Stopped:
		return s.keepJSON(path, true, durable)
	default:
		return s.keepDrop(path, durable)
	}
}
