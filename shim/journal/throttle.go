package journal

import "time"

// A Throttle decides when something that goes on is reported again. The wait grows while it goes
// on, so that one program that never stops does not push all other events out of the journal.
type Throttle struct {
	ReportedAt time.Time     `json:"told_at,omitzero"`
	Wait       time.Duration `json:"wait,omitempty"` // no report for so long after ReportedAt
}

const (
	minWait = 2 * time.Second
	// MaxWait is the longest wait between two reports.
	MaxWait = time.Minute
)

// Due reports whether the wait is over. It is also over if ReportedAt is in the future, since the
// clock was set back then.
func (t *Throttle) Due(at time.Time) bool {
	since := at.Sub(t.ReportedAt)
	return since < 0 || since >= t.Wait
}

// Reported records a report, and sets the wait until the next. The wait is zero if the thing was
// quiet for MaxWait after the last wait.
func (t *Throttle) Reported(at time.Time) {
	goesOn := at.Sub(t.ReportedAt) <= t.Wait+MaxWait
	t.ReportedAt = at
	if t.Wait = min(max(2*t.Wait, minWait), MaxWait); !goesOn {
		t.Wait = 0
	}
}
