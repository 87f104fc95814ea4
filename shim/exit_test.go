package shim_test

import (
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

func TestExitInWords(t *testing.T) {
	for _, tt := range []struct {
		exit shim.Exit
		want string
	}{
		{shim.Exit{}, "status 0"},
		{shim.Exit{Status: 1}, "status 1"},
		{shim.Exit{Status: 128}, "status 128"},
		{shim.Exit{Status: 139}, "status 139 (SIGSEGV)"},
		{shim.Exit{Status: 143}, "status 143 (SIGTERM)"},
		{shim.Exit{Status: 255}, "status 255"},
		{shim.Exit{Status: 1, OOMKilled: true}, "status 1 (out of memory)"},
		{shim.Exit{Status: 137, OOMKilled: true}, "status 137 (SIGKILL, out of memory)"},
		{shim.Exit{Status: 0, Condemned: "its live probe failed"}, "status 0, stopped because its live probe failed"},
	} {
		if got := tt.exit.String(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.exit, got, tt.want)
		}
	}
}

func TestEnding(t *testing.T) {
	once := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)), shimtest.AddApp("api", 5), shimtest.EditContainer("api", shimtest.Policy(spec.RestartOnFailure)))
	fatal := func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }
	brittle := shimtest.Checkout(shimtest.EditContainer("shipper", fatal))
	done := seen(once, task("web", shim.TaskStopped, 3), task("api", shim.TaskStopped, 0))
	failed := seen(brittle, task("shipper", shim.TaskStopped, 9))
	for _, tt := range []struct {
		name string
		in   shim.PlanInput
		want shim.State // empty: it goes on
		by   string
	}{
		{"all runs", shim.PlanInput{Want: once, Observed: running(once)}, "", ""},
		{"one app has ended", shim.PlanInput{Want: once, Observed: seen(once, task("web", shim.TaskStopped, 0))}, "", ""},
		{"one has yet to succeed", shim.PlanInput{Want: once, Observed: seen(once, task("web", shim.TaskStopped, 0), task("api", shim.TaskStopped, 1))}, "", ""},
		{"the apps have ended", shim.PlanInput{Want: once, Observed: done}, shim.Completed, ""},
		{"one is to be restarted", shim.PlanInput{Want: once, Observed: done, Restart: map[string]bool{"web": true}}, "", ""},
		{"one was stopped to be made anew", shim.PlanInput{Want: once, Observed: done, History: shim.History{"web": {Taken: true}}}, "", ""},
		{"one has another definition now", shim.PlanInput{Want: shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)), shimtest.EditContainer("web", shimtest.Command("/new"))), Observed: seen(shimtest.Checkout(), task("web", shim.TaskStopped, 0))}, "", ""},
		{"one was never started", shim.PlanInput{Want: once, Observed: seen(once, task("web", shim.TaskNone), task("api", shim.TaskStopped, 0))}, "", ""},
		{"one state is unknown", shim.PlanInput{Want: once, Observed: with(done, task("proxy", shim.TaskUnknown))}, "", ""},
		{"it is stopped", shim.PlanInput{Want: once, Observed: done, Stopped: true}, "", ""},
		{"it has ended already", shim.PlanInput{Want: once, Observed: done, Ended: &shim.Ended{}}, "", ""},
		{"a failure stops it", shim.PlanInput{Want: brittle, Observed: failed}, shim.Stopped, "shipper"},
		{"an end that is no failure", shim.PlanInput{Want: brittle, Observed: seen(brittle, task("shipper", shim.TaskStopped, 0))}, "", ""},
		{"stopped because of its probes", shim.PlanInput{
			Want: brittle, Observed: seen(brittle, task("shipper", shim.TaskStopped, 0)), History: shim.History{"shipper": {Condemned: "its live probe failed"}},
		}, shim.Stopped, "shipper"},
	} {
		tt.in.Now = noon
		var got shim.Ended
		if e := tt.in.Ending(); e != nil {
			got = *e
		}
		if got.State != tt.want || got.By != tt.by {
			t.Errorf("%s: ended as %q by %q, want %q by %q", tt.name, got.State, got.By, tt.want, tt.by)
		}
	}
}
