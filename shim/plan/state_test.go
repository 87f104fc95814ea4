package plan_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

func TestStateOf(t *testing.T) {
	once := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)))
	ignoring := hosttest.Checkout(hosttest.EditContainer("shipper", func(c *spec.Container) { c.OnFailure = spec.FailureIgnored }))
	for _, tt := range []struct {
		name   string
		want   *spec.Group
		seen   plan.Observed
		before group.State
		state  group.State
	}{
		{"nothing is there", hosttest.Checkout(), plan.Nothing(), "", group.Pending},
		{"created", hosttest.Checkout(), seen(hosttest.Checkout(), every(host.TaskCreated)), group.Pending, group.Starting},
		{"half runs", hosttest.Checkout(), seen(hosttest.Checkout(), task("web", host.TaskCreated)), group.Starting, group.Starting},
		{"all runs", hosttest.Checkout(), running(hosttest.Checkout()), group.Starting, group.Running},
		{"adopted", hosttest.Checkout(), running(hosttest.Checkout()), "", group.Running},
		{"one ended", hosttest.Checkout(), seen(hosttest.Checkout(), task("web", host.TaskStopped, 1)), group.Running, group.Degraded},
		{"one ended at once", hosttest.Checkout(), seen(hosttest.Checkout(), task("web", host.TaskStopped, 1)), group.Starting, group.Degraded},
		{"one is replaced", hosttest.Checkout(hosttest.EditContainer("web", hosttest.Command("x"))), running(hosttest.Checkout()), group.Running, group.Degraded},
		{"rules are gone", hosttest.Checkout(), seen(hosttest.Checkout(), net(present, present, absent, present)), group.Running, group.Degraded},
		{"rules unknown", hosttest.Checkout(), seen(hosttest.Checkout(), net(unknown, unknown, unknown, unknown)), group.Running, group.Running},
		{"containers unknown", hosttest.Checkout(), seen(hosttest.Checkout(), blind), group.Running, group.Running},
		{"containers unknown from the first", hosttest.Checkout(), seen(hosttest.Checkout(), blind), "", group.Pending},
		{"the app is done, and that is not saved yet", once, seen(once, task("web", host.TaskStopped, 0)), group.Running, group.Running},
		{"the app is done, the ambassador ended", once, seen(once, task("web", host.TaskStopped, 0), task("proxy", host.TaskStopped, 0)), group.Completed, group.Degraded},
		{"a sidecar ended, and its failure is ignored", ignoring, seen(ignoring, task("shipper", host.TaskStopped, 1)), group.Running, group.Running},
		{"an init has ended well, the rest is created", ordered(), upTo("migrate"), group.Starting, group.Starting},
		{"an init has failed", ordered(), with(upTo("migrate"), task("fetch", host.TaskStopped, 1)), group.Starting, group.Degraded},
		{"sealed needs no link", hosttest.Sealed(), running(hosttest.Sealed()), "", group.Running},
		{"to be gone", nil, running(hosttest.Checkout()), group.Running, group.Stopping},
		{"to be gone, unknown", nil, seen(hosttest.Checkout(), blind), group.Running, group.Stopping},
		{"gone", nil, plan.Nothing(), group.Stopping, group.Gone},
		{"gone, and the volumes unknown", nil, plan.Observed{Net: plan.Nothing().Net, VolumesErr: errBlind}, group.Stopping, group.Stopping},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := plan.Input{Group: "checkout", Want: tt.want, Observed: tt.seen, Now: noon, Layout: fixedLayout}
			if got := plan.StateOf(in, tt.before); got != tt.state {
				t.Errorf("state %q, want %q", got, tt.state)
			}
		})
	}
}

// A group that is down stays so while its containers are unknown. One that is to be is not yet.
func TestStateOfWhatIsDown(t *testing.T) {
	g := hosttest.Checkout()
	for _, tt := range []struct {
		name   string
		ended  group.State // empty: it was stopped
		seen   plan.Observed
		before group.State
		want   group.State
	}{
		{"nothing is left", "", plan.Nothing(), group.Stopping, group.Stopped},
		{"something is left", "", running(g), group.Stopped, group.Stopping},
		{"unknown, and was stopped", "", seen(g, blind), group.Stopped, group.Stopped},
		{"unknown, and was stopping", "", seen(g, blind), group.Stopping, group.Stopping},
		{"unknown, and ran", "", seen(g, blind), group.Running, group.Stopping},
		{"unknown from the first", "", seen(g, blind), "", group.Stopping},
		{"unknown, and had completed", group.Completed, seen(g, blind), group.Completed, group.Completed},
		{"unknown, and is stopped after it had completed", "", seen(g, blind), group.Completed, group.Stopping},
	} {
		in := plan.Input{Group: "checkout", Want: g, Stopped: tt.ended == "", Observed: tt.seen, Now: noon, Layout: fixedLayout}
		if tt.ended != "" {
			in.Ended = &group.Ended{State: tt.ended}
		}
		if got := plan.StateOf(in, tt.before); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStateByHealth(t *testing.T) {
	g := hosttest.Checkout(hosttest.EditContainer("web", func(c *spec.Container) { c.Probes = []spec.Probe{{Kind: "ready"}} }))
	refused := host.Health{Started: true, Reason: "its ready probe failed 3 times in a row: connection refused"}
	for _, tt := range []struct {
		name   string
		health host.Health
		before group.State
		want   group.State
	}{
		{"ready", host.Health{Started: true, Ready: true}, group.Starting, group.Running},
		{"not ready yet", host.Health{Started: true, Pending: true}, group.Starting, group.Starting},
		{"not ready", refused, group.Starting, group.Starting},
		{"not ready any more", refused, group.Running, group.Degraded},
		{"its live probe failed", host.Health{Started: true, Ready: true, Failed: true}, group.Running, group.Degraded},
		{"adopted, and not asked yet", host.Health{}, "", group.Running},
		{"adopted, and not decided", host.Health{Started: true, Pending: true}, group.Running, group.Running},
		{"adopted, and not ready", refused, "", group.Starting},
		{"back, and not asked yet", host.Health{Started: true, Pending: true}, group.Degraded, group.Degraded},
	} {
		in := plan.Input{Want: g, Observed: running(g), Health: map[string]host.Health{"web": tt.health}, Now: noon}
		if got := plan.StateOf(in, tt.before); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestProblem(t *testing.T) {
	never := hosttest.Checkout(hosttest.EditContainer("web", hosttest.Policy(spec.RestartNever)))
	for _, tt := range []struct {
		name string
		want *spec.Group
		seen plan.Observed
		err  string // empty: none
	}{
		{"all is well", hosttest.Checkout(), running(hosttest.Checkout()), ""},
		{"ended, to be started again", hosttest.Checkout(), seen(hosttest.Checkout(), task("web", host.TaskStopped, 0)), "web (app) ended with status 0"},
		{"ended well for good", never, seen(never, task("web", host.TaskStopped, 0)), ""},
		{"ended badly for good", never, seen(never, task("web", host.TaskStopped, 9)), "web (app) ended with status 9"},
		{"containers unknown", hosttest.Checkout(), seen(hosttest.Checkout(), blind), "look at its containers: containerd does not answer"},
		{"one state unknown", hosttest.Checkout(), seen(hosttest.Checkout(), task("web", host.TaskUnknown)), "containerd does not know the state of web (app)"},
		{"several things unknown", hosttest.Checkout(), seen(hosttest.Checkout(), blind, noVolumes), "look at its containers: containerd does not answer; look at its volumes: containerd does not answer"},
		{"network unknown", hosttest.Checkout(), seen(hosttest.Checkout(), net(present, present, unknown, present)), "its network could not be looked at"},
		{"the link of a sealed group does not matter", hosttest.Sealed(), seen(hosttest.Sealed(), net(present, present, present, unknown)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := plan.Problem(plan.Input{Want: tt.want, Observed: tt.seen, Now: noon})
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err || strings.Contains(text, "\n") {
				t.Errorf("problem %q, want %q", text, tt.err)
			}
		})
	}
}
