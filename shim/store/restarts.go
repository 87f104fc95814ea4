package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/restart"
)

// Restarts is what was written down of the lives of a group's containers. What nothing was written down of has an empty history.
func (s *Store) Restarts(group string) (restart.Records, error) {
	h, err := disk.ReadJSON[restart.Records](s.livesPath(group))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, &hint.Error{
			Err:  fmt.Errorf("read how the containers of group %s have ended: %w", group, err),
			Hint: fmt.Sprintf("\"sallyport start %s\" starts what does not run, whatever is written there", group),
		}
	}
	return h, nil
}

// SetRestarts writes down what is to be known of the lives of a group's containers. Where it fails, what was written down before stays,
// unless it would mislead.
func (s *Store) SetRestarts(group string, h restart.Records) error {
	path := s.livesPath(group)
	noted := h.ToSave()
	if len(noted) == 0 {
		if err := s.drop(path); err != nil {
			return fmt.Errorf("forget how the containers of group %s have ended: %w", group, err)
		}
		return nil
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = s.writeJSON(path, noted)
	}
	if err == nil {
		return nil
	}
	if was, readErr := s.Restarts(group); readErr != nil || h.Contradicts(was) {
		err = errors.Join(err, s.drop(path))
	}
	return fmt.Errorf("write down how the containers of group %s have ended: %w", group, err)
}

func (s *Store) livesPath(group string) string {
	return filepath.Join(s.layout.StateDir, "lives", group+".json")
}
