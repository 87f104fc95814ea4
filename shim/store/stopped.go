package store

import (
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
)

// SetStopped records that the group is to be down although it is wanted, or undoes that. It
// outlasts boots. The error for a group that no file defines is ErrNoGroup, also while the group is
// being removed.
func (s *Store) SetStopped(name string, stopped bool) error {
	known, err := s.mend()
	if err != nil {
		return err
	}
	w, ok := known[name]
	if !ok || w.File == "" {
		return group.ErrNoGroup
	}
	if w.Stopped == stopped {
		return nil
	}
	w.Stopped = stopped
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
