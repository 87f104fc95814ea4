package journal

import "time"

// A Throttle says when something that goes on is told of again. The wait grows while it does, so that one who tries for ever does
// not push everybody else out of the journal.
type Throttle struct {
	ReportedAt time.Time     `json:"told_at,omitzero"`
	Wait       time.Duration `json:"wait,omitempty"` // nothing more is told for so long after ReportedAt
}

const (
	minWait = 2 * time.Second
	MaxWait = time.Minute
)

// Due says that the wait is over. A time of telling that is still to come is of before the clock was set back, and binds nobody.
func (p *Throttle) Due(at time.Time) bool {
	since := at.Sub(p.ReportedAt)
	return since < 0 || since >= p.Wait
}

// Reported notes that it was told of.
func (p *Throttle) Reported(at time.Time) {
	goesOn := at.Sub(p.ReportedAt) <= p.Wait+MaxWait
	p.ReportedAt = at
	if p.Wait = min(max(2*p.Wait, minWait), MaxWait); !goesOn {
		p.Wait = 0
	}
}
