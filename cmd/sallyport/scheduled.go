package main

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// momentText returns a moment in the time zone that it has, to the second.
func momentText(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// lastRunText returns how the last run of a schedule ended, in one line.
func lastRunText(r *group.Run) string {
	switch {
	case !r.State.Over():
		return fmt.Sprintf("%s is %s", r.ID, r.State)
	case r.Error != "":
		return fmt.Sprintf("%s: %s: %s", r.ID, r.State, r.Error)
	}
	return fmt.Sprintf("%s: %s with status %d at %s", r.ID, r.State, r.ExitCode(), momentText(r.Ended))
}
