package plan_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

func TestEnding(t *testing.T) {
	once := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)), hosttest.AddApp("api", 5), hosttest.EditContainer("api", hosttest.Policy(spec.RestartOnFailure)))
	fatal := func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }
	brittle := hosttest.Checkout(hosttest.EditContainer("shipper", fatal))
	done := seen(once, task("web", host.TaskStopped, 3), task("api", host.TaskStopped, 0))
	failed := seen(brittle, task("shipper", host.TaskStopped, 9))
	for _, tt := range []struct {
		name string
		in   plan.Input
		want group.State // empty: it goes on
		by   string
	}{
		{"all runs", plan.Input{Want: once, Observed: running(once)}, "", ""},
		{"one app has ended", plan.Input{Want: once, Observed: seen(once, task("web", host.TaskStopped, 0))}, "", ""},
		{"one has yet to succeed", plan.Input{Want: once, Observed: seen(once, task("web", host.TaskStopped, 0), task("api", host.TaskStopped, 1))}, "", ""},
		{"the apps have ended", plan.Input{Want: once, Observed: done}, group.Completed, ""},
		{"one is to be restarted", plan.Input{Want: once, Observed: done, Restart: map[string]bool{"web": true}}, "", ""},
		{"one was stopped to be made anew", plan.Input{Want: once, Observed: done, Records: restart.Records{"web": {Replacing: true}}}, "", ""},
		{"one has another definition now", plan.Input{Want: hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)), hosttest.EditContainer("web", hosttest.Command("/new"))), Observed: seen(hosttest.Checkout(), task("web", host.TaskStopped, 0))}, "", ""},
		{"one was never started", plan.Input{Want: once, Observed: seen(once, task("web", host.TaskNone), task("api", host.TaskStopped, 0))}, "", ""},
		{"one state is unknown", plan.Input{Want: once, Observed: with(done, task("proxy", host.TaskUnknown))}, "", ""},
		{"it is stopped", plan.Input{Want: once, Observed: done, Stopped: true}, "", ""},
		{"it has ended already", plan.Input{Want: once, Observed: done, Ended: &group.Ended{}}, "", ""},
		{"a failure stops it", plan.Input{Want: brittle, Observed: failed}, group.Stopped, "shipper"},
		{"an end that is no failure", plan.Input{Want: brittle, Observed: seen(brittle, task("shipper", host.TaskStopped, 0))}, "", ""},
		{"stopped because of its probes", plan.Input{
			Want: brittle, Observed: seen(brittle, task("shipper", host.TaskStopped, 0)), Records: restart.Records{"shipper": {ProbeFailure: "its live probe failed"}},
		}, group.Stopped, "shipper"},
		{"a bound is passed", plan.Input{Want: once, Observed: running(once), Passed: &host.Bound{}}, group.Stopped, ""},
		{"a bound is passed, and a state is unknown", plan.Input{Want: once, Observed: with(done, task("proxy", host.TaskUnknown)), Passed: &host.Bound{}}, "", ""},
		{"a bound is passed, and a failure stops it", plan.Input{Want: brittle, Observed: failed, Passed: &host.Bound{}}, group.Stopped, "shipper"},
	} {
		tt.in.Now = noon
		var got group.Ended
		if e := tt.in.Ending(); e != nil {
			got = *e
		}
		if passed := tt.in.Passed != nil && tt.want != "" && tt.by == ""; (got.Bound != nil) != passed {
			t.Errorf("%s: ended by the bound %+v", tt.name, got.Bound)
		}
		if got.State != tt.want || got.By != tt.by {
			t.Errorf("%s: ended as %q by %q, want %q by %q", tt.name, got.State, got.By, tt.want, tt.by)
		}
	}
}
