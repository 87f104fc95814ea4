package journal

import "time"

// A Throttle says when something that goes on is told of again. The wait grows while it does, so that one who tries for ever does
// not push everybody else out of the journal.
type Throttle struct {
	ToldAt time.Time     `json:"told_at,omitzero"`
	Wait   time.Duration `json:"wait,omitempty"` // nothing more is told for so long after ToldAt
}

const (
	leastWait = 2 * time.Second
	MostWait  = time.Minute
)

// Due says that the wait is over. A time of telling that is still to come is of before the clock was set back, and binds nobody.
func (p *Throttle) Due(at time.Time) bool {
	since := at.Sub(p.ToldAt)
	return since < 0 || since >= p.Wait
}

// Told notes that it was told of.
func (p *Throttle) Told(at time.Time) {
	goesOn := at.Sub(p.ToldAt) <= p.Wait+MostWait
	p.ToldAt = at
	if p.Wait = min(max(2*p.Wait, leastWait), MostWait); !goesOn {
		p.Wait = 0
	}
}
