package shim

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// drifted notes what somebody else has changed: a look found all as wanted, nothing else is wanted since, and now there are
// steps to take that have to do with the network.
func (r *Runner) detectDrift(in PlanInput, seq int, steps []Step) {
	if in.toRun() == nil || seq != r.settledSeq || len(r.drift) > 0 {
		return
	}
	for i, s := range steps {
		follows := i > 0 && s.Kind == Admit && steps[i-1].Kind == Seal // new rules admit nobody yet
		if part, ok := partOf[s.Kind]; ok && !follows {
			r.drift = append(r.drift, r.describeDrift(part, s.Want)...)
		}
	}
}

// partOf has the part that each kind of step puts back.
var partOf = map[Kind]Part{Seal: PartNamespace, Admit: PartRules, Limit: PartLimits, Connect: PartLink}

func (r *Runner) describeDrift(part Part, want *spec.Group) []string {
	if d := r.config.Drift; d != nil {
		return d.Amiss(part, want)
	}
	return []string{"its network"}
}

// Mends are what was put back and is not told of yet.
type repairs struct {
	restraint
	inARow int // tellings without a long pause between
	found  []string
	times  int
}

// freely is how many changes in a row are told of one by one: so many an operator makes, and more a program that fights us.
const burst = 20

// told notes that the mends are told of.
func (m *repairs) reported(at time.Time) {
	if at.Sub(m.ToldAt) > m.Wait+mostWait {
		m.inARow = 0
	}
	m.restraint.told(at)
	if m.inARow++; m.inARow < burst {
		m.Wait = 0
	}
	m.found, m.times = nil, 0
}

// mended tells of the drift that the look which ends now has put back, or could not. What others change over and over is put back
// each time, and told of less and less often: their changes must not push everything else out of the journal.
func (r *Runner) recordRepairs(err error) {
	now := r.config.Now()
	if err != nil {
		if len(r.drift) > 0 && !r.driftReported && r.repairs.due(now) {
			r.record(driftEvent(r.group, r.drift, 0, err))
			r.driftReported = true
		}
		return
	}
	m := &r.repairs
	if len(r.drift) > 0 {
		m.times++
		for _, x := range r.drift {
			if !slices.Contains(m.found, x) {
				m.found = append(m.found, x)
			}
		}
	}
	if m.times > 0 && (r.driftReported || m.due(now)) {
		r.record(driftEvent(r.group, m.found, m.times, nil))
		m.reported(now)
	}
	r.drift, r.driftReported = nil, false
}
