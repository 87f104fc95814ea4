package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/restart"
)

// Restarts returns the saved records of how a group's containers have ended. They are nil if there
// are none.
func (s *Store) Restarts(group string) (restart.Records, error) {
	h, err := readJSON[restart.Records](s, s.restartsPath(group))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &hint.Error{
			Err:  fmt.Errorf("read how the containers of group %s have ended: %w", group, err),
			Hint: fmt.Sprintf("\"sallyport start %s\" starts its containers regardless", group),
		}
	}
	return h, nil
}

// SetRestarts saves how a group's containers have ended. If that fails, the earlier records stay,
// unless they contradict the new ones. A power cut may undo it: after that, all containers start
// from nothing.
func (s *Store) SetRestarts(group string, h restart.Records) error {
	path := s.restartsPath(group)
	saved := h.ToSave()
	if len(saved) == 0 {
		if err := s.drop(path, whole); err != nil {
			return fmt.Errorf("forget how the containers of group %s have ended: %w", group, err)
		}
		return nil
	}
	err := s.keepJSON(path, saved, whole)
	if err == nil {
		return nil
	}
	if was, readErr := s.Restarts(group); readErr != nil || h.Contradicts(was) {
		err = errors.Join(err, s.drop(path, durable))
	}
	return fmt.Errorf("write down how the containers of group %s have ended: %w", group, err)
}
