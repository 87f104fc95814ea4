package ctrd

import (
	"testing"
	"time"
)

// A mark by a clock that was not set yet is none: by it the image would be unused for decades.
func TestMarksOfAWrongClock(t *testing.T) {
	pulled := time.Date(2026, 12, 1, 12, 0, 0, 500, time.UTC)
	for _, tt := range []struct {
		mark   string
		pulled time.Time
		good   bool
	}{
		{"2026-12-02T12:00:00Z", pulled, true},
		{"2026-12-01T12:00:00Z", pulled, true}, // in the second of the pull
		{"2026-11-30T12:00:00Z", pulled, false},
		{"1970-01-01T00:00:40Z", pulled, false},
		{"1970-01-01T00:00:40Z", time.Unix(10, 0), false},
		{"2016-01-01T00:00:40Z", time.Unix(10, 0), false},
		{"2026-12-02T12:00:00Z", time.Unix(10, 0), true},
		{"yesterday", pulled, false},
		{"", pulled, false},
	} {
		since := markedSince(tt.mark, tt.pulled)
		if got := !since.IsZero(); got != tt.good || got && since.Format(time.RFC3339) != tt.mark {
			t.Errorf("mark %q, pulled %s: %s", tt.mark, tt.pulled, since)
		}
	}
}
