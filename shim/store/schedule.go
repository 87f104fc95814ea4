package store

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// A Schedule has what is known of the runs of a group with a schedule.
type Schedule struct {
	// Cron and Timezone are those that Handled counts for. Others begin anew.
	Cron     string `json:"cron"`
	Timezone string `json:"timezone"`
	Seed     string `json:"seed"` // of the delays of its runs
	// Handled is the last due time that was run, skipped or missed, or the time since which the
	// schedule counts.
	Handled   time.Time  `json:"handled"`
	Suspended bool       `json:"suspended,omitempty"` // the group is stopped
	Last      *group.Run `json:"last,omitempty"`      // the last run that has begun. Nil: there was none
}

// Schedule returns what is known of the runs of a group. Nil means that nothing is.
func (s *Store) Schedule(name string) (*Schedule, error) {
	x, err := readJSON[Schedule](s, s.schedulePath(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read which runs of group %s were due: %w", name, err)
	}
	return &x, nil
}

// SetSchedule writes down what is known of the runs of a group. Nil means that nothing is. A power
// cut within seconds may undo it.
func (s *Store) SetSchedule(name string, x *Schedule) error {
	path := s.schedulePath(name)
	var err error
	switch {
	case x != nil:
		err = s.keepJSON(path, x, whole)
	case s.exists(path):
		err = s.keepDrop(path, whole)
	}
	if err != nil {
		return fmt.Errorf("write down which runs of group %s were due: %w", name, err)
	}
	return nil
}
