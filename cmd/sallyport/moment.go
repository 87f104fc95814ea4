package main

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/config"
)

// momentForms shows how a time may be written.
const momentForms = `a duration such as 10m, 2h30m or 3d, or a time such as 15:04, 2026-01-31, "2026-01-31 15:04" or 2026-01-31T15:04:05+01:00`

// parseMoment reads a time: so long ago, or a date or time of day, which is local without a zone. A
// time of day alone is the last one that has passed.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if ago, ok := config.ParseDuration(text); ok {
		return now.Add(-ago), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if of, err := time.Parse(form, text); err == nil {
			at := time.Date(now.Year(), now.Month(), now.Day(), of.Hour(), of.Minute(), of.Second(), 0, now.Location())
			if at.After(now) {
				at = at.AddDate(0, 0, -1)
			}
			return at, nil
		}
	}
	for _, form := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if at, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q: use %s", text, momentForms)
}
