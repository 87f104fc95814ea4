package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// Ended returns how the group's generation has ended by itself. Nil means that it has not.
func (s *Store) Ended(name string, generation int) (*group.Ended, error) {
	e, err := readJSON[group.Ended](s, s.endedPath(name))
	if err == nil && e.At.IsZero() {
		err = disk.Damaged(s.endedPath(name), "it has no time")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &hint.Error{
			Err:  fmt.Errorf("read whether group %s has ended: %w", name, err),
			Hint: fmt.Sprintf("\"sallyport start %s\" starts it regardless", name),
		}
	case e.Generation != generation:
		return nil, nil
	}
	return &e, nil
}

// KnowsEnd reports whether there is a record of how the group has ended, even an outdated one. A
// group that has completed has one until it is forgotten.
func (s *Store) KnowsEnd(group string) bool { return s.exists(s.endedPath(group)) }

// SetEnded writes down how the group has ended. Nil means that it has not: a record that there is
// becomes that of no generation.
func (s *Store) SetEnded(name string, e *group.Ended) error {
	if e == nil {
		if !s.KnowsEnd(name) {
			return nil
		}
		if err := s.keepJSON(s.endedPath(name), group.Ended{At: s.now()}, durable); err != nil {
			return fmt.Errorf("forget how group %s has ended: %w", name, err)
		}
		return nil
	}
	if err := s.keepJSON(s.endedPath(name), e, durable); err != nil {
		return fmt.Errorf("write down how group %s has ended: %w", name, err)
	}
	return nil
}
