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
	e, err := disk.ReadJSON[group.Ended](s.endedPath(name))
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

// SetEnded writes down how the group has ended. Nil means that it has not.
func (s *Store) SetEnded(group string, e *group.Ended) error {
	if e == nil {
		if err := s.drop(s.endedPath(group)); err != nil {
			return fmt.Errorf("forget how group %s has ended: %w", group, err)
		}
		return nil
	}
	if err := s.writeJSONInFolder(s.endedPath(group), e); err != nil {
		return fmt.Errorf("write down how group %s has ended: %w", group, err)
	}
	return nil
}
