package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/restart"
)

// Run returns how long the run of a job has taken. Nil means that no run has begun, or that the job
// has no timeout.
func (s *Store) Run(group string) (*restart.Run, error) {
	r, err := readJSON[restart.Run](s, s.runPath(group))
	if err == nil && r.At.IsZero() {
		err = disk.Damaged(s.runPath(group), "it has no time")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read when the run of group %s began: %w", group, err)
	}
	return &r, nil
}

// SetRun writes down how long the run of a job has taken. Nil means that no run has begun. A power
// cut within seconds may undo it.
func (s *Store) SetRun(group string, r *restart.Run) error {
	path := s.runPath(group)
	var err error
	switch {
	case r != nil:
		err = s.keepJSON(path, r, whole)
	case s.exists(path):
		err = s.keepDrop(path, whole)
	}
	if err != nil {
		return fmt.Errorf("write down when the run of group %s began: %w", group, err)
	}
	return nil
}
