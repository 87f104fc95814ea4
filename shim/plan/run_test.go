package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/spec"
)

// timed returns a job with a timeout.
func timed(edits ...func(*spec.Group)) *spec.Group {
	return hosttest.Checkout(append([]func(*spec.Group){hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)), func(g *spec.Group) { g.Timeout = time.Minute }}, edits...)...)
}

func TestEndingByTheTimeout(t *testing.T) {
	stops := timed(hosttest.EditContainer("web", func(c *spec.Container) { c.OnFailure = spec.FailureStopsGroup }))
	for _, tt := range []struct {
		name string
		want *spec.Group
		seen plan.Observed
		ends time.Duration // from now
		end  *group.Ended
	}{
		{"it has time", timed(), running(timed()), time.Nanosecond, nil},
		{"its time is over", timed(), running(timed()), 0, &group.Ended{State: group.Stopped, Timeout: time.Minute}},
		{"nothing of it is there, as after a boot", timed(), plan.Nothing(), -time.Hour, &group.Ended{State: group.Stopped, Timeout: time.Minute}},
		{"its apps had ended by then", timed(), seen(timed(), task("web", host.TaskStopped, 0)), -time.Hour, &group.Ended{State: group.Completed}},
		{"it had failed by then", stops, seen(stops, task("web", host.TaskStopped, 1)), -time.Hour, &group.Ended{State: group.Stopped, By: "web"}},
		{"what runs is unknown", timed(), seen(timed(), blind), -time.Hour, nil},
		{"a container is unknown", timed(), seen(timed(), task("proxy", host.TaskUnknown)), -time.Hour, nil},
	} {
		in := plan.Input{Want: tt.want, Observed: tt.seen, Now: noon, RunEnds: noon.Add(tt.ends), Layout: fixedLayout}
		got := in.Ending()
		if got != nil {
			got.At, got.Exits = time.Time{}, nil
		}
		if diff := cmp.Diff(tt.end, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if in := (plan.Input{Want: timed(), Observed: running(timed()), Now: noon}); in.Ending() != nil {
		t.Error("a job whose run has no end has ended")
	}
}

// What a timeout ends goes down in the usual order and stays down.
func TestStepsOfAJobWhoseTimeIsOver(t *testing.T) {
	in := plan.Input{Want: timed(), Observed: running(timed()), Now: noon, Ended: &group.Ended{State: group.Stopped, Timeout: time.Minute}, Layout: fixedLayout}
	got := plan.Texts(plan.Steps(in))
	if want := []string{"stop web (app), grace 10s", "stop shipper (sidecar), grace 10s", "stop proxy (ambassador), grace 10s"}; !slices.Equal(got[:min(3, len(got))], want) {
		t.Errorf("%q", got)
	}
	if err := plan.Problem(in); err == nil || err.Error() != "timed out after 1m0s" {
		t.Errorf("problem %v", err)
	}
	in.Observed = plan.Nothing()
	if steps, state := plan.Steps(in), plan.StateOf(in, group.Stopping); len(steps) > 0 || state != group.Stopped {
		t.Errorf("down: %s, %v", state, steps)
	}
}

func TestNextOfATimeout(t *testing.T) {
	soon, late := noon.Add(time.Second), noon.Add(time.Minute)
	failing := timed(hosttest.EditContainer("web", hosttest.Policy(spec.RestartOnFailure)))
	waits := restart.Records{"web": {Digest: failing.Container("web").Digest, Ended: true, Next: soon}}
	for _, tt := range []struct {
		name string
		in   plan.Input
		want time.Time
	}{
		{"when it is over", plan.Input{Want: timed(), Observed: running(timed()), RunEnds: late}, late},
		{"a restart before that", plan.Input{Want: failing, Observed: seen(failing, task("web", host.TaskStopped, 1)), Records: waits, RunEnds: late}, soon},
		{"a restart after that", plan.Input{Want: failing, Observed: seen(failing, task("web", host.TaskStopped, 1)), Records: waits, RunEnds: soon.Add(-1)}, soon.Add(-1)},
		{"it is over, and what runs is unknown", plan.Input{Want: timed(), Observed: seen(timed(), blind), RunEnds: noon}, time.Time{}},
		{"it has ended", plan.Input{Want: timed(), Observed: running(timed()), RunEnds: late, Ended: &group.Ended{State: group.Stopped}}, time.Time{}},
	} {
		tt.in.Now = noon
		if got := plan.Next(tt.in); !got.Equal(tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRunOver(t *testing.T) {
	otherImage := group.ImageDigests{timed().Container("web").Image: "sha256:other"}
	for _, tt := range []struct {
		name  string
		in    plan.Input
		asked string
		want  bool
	}{
		{"it runs", plan.Input{Want: timed(), Observed: running(timed())}, "", false},
		{"nothing is there yet", plan.Input{Want: timed(), Observed: plan.Nothing()}, "", false},
		{"another timeout", plan.Input{Want: timed(func(g *spec.Group) { g.Timeout = time.Hour }), Observed: running(timed())}, "", false},
		{"no timeout", plan.Input{Want: timed(func(g *spec.Group) { g.Timeout = 0 }), Observed: running(timed())}, "", false},
		{"another sidecar", plan.Input{Want: timed(hosttest.EditContainer("shipper", hosttest.Command("x"))), Observed: running(timed())}, "", false},
		{"another app", plan.Input{Want: timed(hosttest.EditContainer("web", hosttest.Command("x"))), Observed: running(timed())}, "", true},
		{"another image of the app", plan.Input{Want: timed(), Observed: running(timed()), Digests: otherImage}, "", true},
		{"a restart of a sidecar was asked for", plan.Input{Want: timed(), Observed: running(timed())}, "shipper", false},
		{"a restart of the app was asked for", plan.Input{Want: timed(), Observed: running(timed())}, "web", true},
		{"the app's output needs a restart", plan.Input{Want: timed(), Observed: running(timed()), Restart: map[string]bool{"web": true}}, "", false},
		{"the app has ended and is started again", plan.Input{Want: timed(), Observed: seen(timed(), task("web", host.TaskStopped, 1))}, "", false},
		{"what runs is unknown", plan.Input{Want: timed(), Observed: seen(timed(), blind)}, "", false},
		{"stopped", plan.Input{Want: timed(), Stopped: true, Observed: running(timed())}, "", true},
		{"ended", plan.Input{Want: timed(), Ended: &group.Ended{State: group.Completed}, Observed: running(timed())}, "", true},
		{"to be gone", plan.Input{Group: "checkout", Observed: running(timed())}, "", true},
	} {
		if got := tt.in.RunOver(map[string]bool{tt.asked: true}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// The plan shows a timeout where the app starts, and a change of it, which restarts nothing.
func TestPlanShowsTheTimeout(t *testing.T) {
	in := plan.Input{Want: timed(), Observed: plan.Nothing(), AssumeReady: true, Now: noon, Layout: fixedLayout}
	if got := plan.Texts(plan.Steps(in)); got[len(got)-1] != "start web (app), the job ends 1m0s after its first start" {
		t.Errorf("%q", got)
	}
	in.Want = timed(func(g *spec.Group) { g.Timeout = 0 })
	if got := strings.Join(plan.Texts(plan.Steps(in)), "\n"); strings.Contains(got, "the job") {
		t.Errorf("without a timeout:\n%s", got)
	}
	in = plan.Input{Want: timed(func(g *spec.Group) { g.Timeout = time.Hour }), Previous: timed(), Observed: running(timed()), Now: noon, Layout: fixedLayout}
	if got := plan.LiveChanges(in); !slices.Equal(got, []string{"the group: timeout (1h0m0s, and was 1m0s)"}) || len(plan.Steps(in)) > 0 {
		t.Errorf("%q, %q", got, plan.Texts(plan.Steps(in)))
	}
	in.Want = timed(func(g *spec.Group) { g.Timeout = 0 })
	if got := plan.LiveChanges(in); !slices.Equal(got, []string{"the group: timeout (none, and was 1m0s)"}) {
		t.Errorf("%q", got)
	}
}
