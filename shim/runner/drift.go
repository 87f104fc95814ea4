package runner

import (
	"slices"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// detectDrift notes what others have changed. Drift is when all was as wanted after the last
// reconciliation, nothing else is wanted since, and there are steps now that restore the network,
// the limits or the volumes. A container with an earlier mount of a volume is always drift.
func (r *Runner) detectDrift(in plan.Input, seq int, steps []plan.Step) {
	if in.ToRun() == nil {
		return
	}
	if seq == r.settledSeq && len(r.drift) == 0 {
		r.drift = r.changedByOthers(in, steps)
	}
	for _, text := range in.OutdatedVolumes() { // also if nothing was ever as wanted under this daemon
		if !slices.Contains(r.drift, text) {
			r.drift = append(r.drift, text)
		}
	}
}

// changedByOthers returns in an operator's words what the steps restore.
func (r *Runner) changedByOthers(in plan.Input, steps []plan.Step) (found []string) {
	for i, s := range steps {
		if s.Kind == plan.Mount {
			found = append(found, in.VolumeChange(s))
		}
		follows := i > 0 && s.Kind == plan.Admit && steps[i-1].Kind == plan.Seal // new rules admit no member yet
		if part, ok := partOf[s.Kind]; ok && !follows {
			found = append(found, r.describeDrift(part, s.Want)...)
		}
	}
	return found
}

// partOf has the part of the host that each kind of step restores.
var partOf = map[plan.Kind]host.Part{plan.Seal: host.PartNamespace, plan.Admit: host.PartRules, plan.Limit: host.PartLimits, plan.Connect: host.PartLink}

func (r *Runner) describeDrift(part host.Part, want *spec.Group) []string {
	if d := r.config.Drift; d != nil {
		return d.Describe(part, want)
	}
	return []string{"its network"}
}

// A repairs is the drift that was put back and is in no event yet.
type repairs struct {
	journal.Throttle
	inARow int // events without a long pause between them
	found  []string
	times  int
}

// burst is how many repairs in a row get an event each. An operator makes that many changes. A
// program that works against us makes more.
const burst = 20

// reported notes that an event with the repairs was recorded.
func (m *repairs) reported(at time.Time) {
	if at.Sub(m.ReportedAt) > m.Wait+journal.MaxWait {
		m.inARow = 0
	}
	m.Throttle.Reported(at)
	if m.inARow++; m.inARow < burst {
		m.Wait = 0
	}
	m.found, m.times = nil, 0
}

// recordRepairs records the drift that this reconciliation has put back, or could not put back.
// What others change over and over is put back each time and recorded less and less often. Their
// changes must not push everything else out of the journal.
func (r *Runner) recordRepairs(err error) {
	now := r.config.Now()
	if err != nil {
		if len(r.drift) > 0 && !r.driftReported && r.repairs.Due(now) {
			r.record(driftEvent(r.group, r.drift, 0, err))
			r.driftReported = true
		}
		return
	}
	m := &r.repairs
	if len(r.drift) > 0 {
		m.times++
		r.counts.repairs.Add(1)
		for _, x := range r.drift {
			if !slices.Contains(m.found, x) {
				m.found = append(m.found, x)
			}
		}
	}
	if m.times > 0 && (r.driftReported || m.Due(now)) {
		r.record(driftEvent(r.group, m.found, m.times, nil))
		m.reported(now)
	}
	r.drift, r.driftReported = nil, false
}
