package runner

import (
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// A run has the time of the run of a job with a timeout. It is on disk too, so that it goes on
// through restarts of the daemon and of the host:
//
//	                    first start of a container
//	no run ◄──────────────────────────────────────────► the time runs ──► [group.Ended]
//	        nothing of the group is to run, or an app
//	        is to be replaced
//
// Neither an end of a container that the policy restarts nor another timeout begins a new run.
type run struct {
	now   *restart.Run // nil: none
	known bool         // now was read from disk, or set
}

// followRun returns when the run of the job has taken as long as it may. Zero means never. asked
// has the containers whose restart an operator has asked for. A job that runs without a record of
// its run begins one: it had no timeout before, or the record is lost.
func (r *Runner) followRun(in plan.Input, asked map[string]bool) (ends time.Time) {
	r.loadRun()
	if in.RunOver(asked) {
		r.setRun(nil)
		return ends
	}
	if r.run.now == nil && in.Running() {
		r.beginRun(in.Want)
	}
	if r.run.now == nil || in.ToRun().Timeout == 0 {
		return ends
	}
	now := r.moment()
	if rebased, changed := r.run.now.Rebased(now); changed {
		r.setRun(&rebased)
	}
	return in.Now.Add(in.ToRun().Timeout - r.run.now.Taken(now))
}

// beginRun notes the beginning of a run, unless one has begun.
func (r *Runner) beginRun(want *spec.Group) {
	if r.loadRun(); r.run.now == nil && want.Timeout > 0 {
		begun := restart.BeginRun(r.moment())
		r.setRun(&begun)
	}
}

func (r *Runner) loadRun() {
	if r.run.known {
		return
	}
	now, err := r.config.Records.Run(r.group)
	if err != nil {
		r.log.Warn("the time of the run begins anew: "+err.Error(), "group", r.group)
	}
	r.run = run{now, true}
}

// setRun changes the run and writes it down. A failure is logged and delays nothing: the next
// keeper then knows less.
func (r *Runner) setRun(now *restart.Run) {
	if now == nil && r.run.now == nil && r.run.known {
		return
	}
	r.run = run{now, true}
	if err := r.config.Records.SetRun(r.group, now); err != nil {
		r.log.Warn(err.Error(), "group", r.group)
	}
}

func (r *Runner) moment() host.Moment {
	m := host.Moment{Wall: r.config.Now()}
	if r.config.Boot != nil {
		m.Boot, m.Up = r.config.Boot()
	}
	return m
}
