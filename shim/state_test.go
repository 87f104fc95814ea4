package shim_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

func TestStateOf(t *testing.T) {
	once := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)))
	ignoring := shimtest.Checkout(shimtest.EditContainer("shipper", func(c *spec.Container) { c.OnFailure = spec.FailureIgnored }))
	for _, tt := range []struct {
		name   string
		want   *spec.Group
		seen   shim.Observed
		before shim.State
		state  shim.State
	}{
		{"nothing is there", shimtest.Checkout(), shim.Nothing(), "", shim.Pending},
		{"created", shimtest.Checkout(), seen(shimtest.Checkout(), every(shim.TaskCreated)), shim.Pending, shim.Starting},
		{"half runs", shimtest.Checkout(), seen(shimtest.Checkout(), task("web", shim.TaskCreated)), shim.Starting, shim.Starting},
		{"all runs", shimtest.Checkout(), running(shimtest.Checkout()), shim.Starting, shim.Running},
		{"adopted", shimtest.Checkout(), running(shimtest.Checkout()), "", shim.Running},
		{"one ended", shimtest.Checkout(), seen(shimtest.Checkout(), task("web", shim.TaskStopped, 1)), shim.Running, shim.Degraded},
		{"one ended at once", shimtest.Checkout(), seen(shimtest.Checkout(), task("web", shim.TaskStopped, 1)), shim.Starting, shim.Degraded},
		{"one is replaced", shimtest.Checkout(shimtest.EditContainer("web", shimtest.Command("x"))), running(shimtest.Checkout()), shim.Running, shim.Degraded},
		{"rules are gone", shimtest.Checkout(), seen(shimtest.Checkout(), net(present, present, absent, present)), shim.Running, shim.Degraded},
		{"rules unknown", shimtest.Checkout(), seen(shimtest.Checkout(), net(unknown, unknown, unknown, unknown)), shim.Running, shim.Running},
		{"containers unknown", shimtest.Checkout(), seen(shimtest.Checkout(), blind), shim.Running, shim.Running},
		{"containers unknown from the first", shimtest.Checkout(), seen(shimtest.Checkout(), blind), "", shim.Pending},
		{"the app is done, and it is not written down yet", once, seen(once, task("web", shim.TaskStopped, 0)), shim.Running, shim.Running},
		{"the app is done, the ambassador ended", once, seen(once, task("web", shim.TaskStopped, 0), task("proxy", shim.TaskStopped, 0)), shim.Completed, shim.Degraded},
		{"a sidecar ended, and its failure is ignored", ignoring, seen(ignoring, task("shipper", shim.TaskStopped, 1)), shim.Running, shim.Running},
		{"an init has ended well, the rest is created", ordered(), upTo("migrate"), shim.Starting, shim.Starting},
		{"an init has failed", ordered(), with(upTo("migrate"), task("fetch", shim.TaskStopped, 1)), shim.Starting, shim.Degraded},
		{"sealed needs no link", shimtest.Sealed(), running(shimtest.Sealed()), "", shim.Running},
		{"to be gone", nil, running(shimtest.Checkout()), shim.Running, shim.Stopping},
		{"to be gone, unknown", nil, seen(shimtest.Checkout(), blind), shim.Running, shim.Stopping},
		{"gone", nil, shim.Nothing(), shim.Stopping, shim.Gone},
		{"gone but for a volume nobody could look at", nil, shim.Observed{Net: shim.Nothing().Net, VolumesErr: errBlind}, shim.Stopping, shim.Stopping},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := shim.PlanInput{Group: "checkout", Want: tt.want, Observed: tt.seen, Now: noon, Layout: fixedLayout}
			if got := shim.StateOf(in, tt.before); got != tt.state {
				t.Errorf("state %q, want %q", got, tt.state)
			}
		})
	}
}

func TestStateByHealth(t *testing.T) {
	g := shimtest.Checkout(shimtest.EditContainer("web", func(c *spec.Container) { c.Probes = []spec.Probe{{Kind: "ready"}} }))
	refused := shim.Health{Started: true, Said: "its ready probe failed 3 times in a row: connection refused"}
	for _, tt := range []struct {
		name   string
		health shim.Health
		before shim.State
		want   shim.State
	}{
		{"ready", shim.Health{Started: true, Ready: true}, shim.Starting, shim.Running},
		{"not ready yet", shim.Health{Started: true, Undecided: true}, shim.Starting, shim.Starting},
		{"not ready", refused, shim.Starting, shim.Starting},
		{"not ready any more", refused, shim.Running, shim.Degraded},
		{"dead", shim.Health{Started: true, Ready: true, Dead: true}, shim.Running, shim.Degraded},
		{"adopted, and not asked yet", shim.Health{}, "", shim.Running},
		{"adopted, and not decided", shim.Health{Started: true, Undecided: true}, shim.Running, shim.Running},
		{"adopted, and not ready", refused, "", shim.Starting},
		{"back, and not asked yet", shim.Health{Started: true, Undecided: true}, shim.Degraded, shim.Degraded},
	} {
		in := shim.PlanInput{Want: g, Observed: running(g), Health: map[string]shim.Health{"web": tt.health}, Now: noon}
		if got := shim.StateOf(in, tt.before); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestComplaint(t *testing.T) {
	never := shimtest.Checkout(shimtest.EditContainer("web", shimtest.Policy(spec.RestartNever)))
	for _, tt := range []struct {
		name string
		want *spec.Group
		seen shim.Observed
		err  string // empty: none
	}{
		{"all is well", shimtest.Checkout(), running(shimtest.Checkout()), ""},
		{"ended, to be started again", shimtest.Checkout(), seen(shimtest.Checkout(), task("web", shim.TaskStopped, 0)), "web (app) ended with status 0"},
		{"ended well for good", never, seen(never, task("web", shim.TaskStopped, 0)), ""},
		{"ended badly for good", never, seen(never, task("web", shim.TaskStopped, 9)), "web (app) ended with status 9"},
		{"containers unknown", shimtest.Checkout(), seen(shimtest.Checkout(), blind), "look at its containers: containerd does not answer"},
		{"one state unknown", shimtest.Checkout(), seen(shimtest.Checkout(), task("web", shim.TaskUnknown)), "containerd does not say what web (app) is doing"},
		{"several things unknown", shimtest.Checkout(), seen(shimtest.Checkout(), blind, noVolumes), "look at its containers: containerd does not answer; look at its volumes: containerd does not answer"},
		{"network unknown", shimtest.Checkout(), seen(shimtest.Checkout(), net(present, present, unknown, present)), "its network could not be looked at"},
		{"the link of a sealed group does not matter", shimtest.Sealed(), seen(shimtest.Sealed(), net(present, present, present, unknown)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := shim.Complaint(shim.PlanInput{Want: tt.want, Observed: tt.seen, Now: noon})
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err || strings.Contains(text, "\n") {
				t.Errorf("complaint %q, want %q", text, tt.err)
			}
		})
	}
}
