package shim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// ordered is a group that uses all of the order: an ambassador and a sidecar with ready probes, two inits, a sidecar after one that
// stands below it, an app.
func ordered(edits ...func(*spec.Group)) *spec.Group {
	ready := []spec.Probe{{Kind: "ready", TCP: &spec.TCPProbe{Port: 9001}}}
	return shimtest.Checkout(append([]func(*spec.Group){func(g *spec.Group) {
		proxy, web := g.Containers[0], g.Containers[2]
		proxy.Probes = ready
		g.Containers = []spec.Container{
			proxy,
			{Name: "fetch", Role: spec.Init, Image: "fetch:1", Stop: shimtest.Grace(10)},
			{Name: "migrate", Role: spec.Init, Image: "migrate:1", Stop: shimtest.Grace(10)},
			{Name: "shipper", Role: spec.Sidecar, Image: "shipper:3", Stop: shimtest.Grace(10), After: []string{"store"}},
			{Name: "store", Role: spec.Sidecar, Image: "store:3", Stop: shimtest.Grace(10), Probes: ready},
			web,
		}
	}}, edits...)...)
}

// healthy is what the probes of all containers say once they are ready, but for those named.
func healthy(but ...string) map[string]shim.Health {
	h := map[string]shim.Health{}
	for _, name := range []string{"proxy", "store"} {
		h[name] = shim.Health{Started: true, Ready: true}
	}
	for _, name := range but {
		h[name] = shim.Health{Started: true, Said: "its ready probe failed: tcp 127.0.0.1:9001: connection refused"}
	}
	return h
}

// upTo is ordered with all that comes before the named container as it should be then, and from it on created.
func upTo(name string) shim.Observed {
	g := ordered()
	edits := []func(*shim.Observed){}
	below := false
	for _, c := range g.Containers {
		switch below = below || c.Name == name; {
		case below:
			edits = append(edits, task(c.Name, shim.TaskCreated))
		case c.Role == spec.Init:
			edits = append(edits, task(c.Name, shim.TaskStopped, 0))
		}
	}
	return seen(g, edits...)
}

// with is an observation with changes.
func with(o shim.Observed, edits ...func(*shim.Observed)) shim.Observed {
	o.Containers = slices.Clone(o.Containers)
	for _, edit := range edits {
		edit(&o)
	}
	return o
}

func TestOrder(t *testing.T) {
	g := ordered()
	done := []func(*shim.Observed){task("fetch", shim.TaskStopped, 0), task("migrate", shim.TaskStopped, 0)}
	ignored := ordered(shimtest.EditContainer("migrate", func(c *spec.Container) {
		c.OnFailure, c.Restart.Policy = spec.FailureIgnored, spec.RestartNever
	}))
	tests := []struct {
		name string
		in   shim.PlanInput
	}{
		{"a preview shows all of it", shim.PlanInput{Observed: shim.Nothing(), Assume: true}},
		{"nothing is there", shim.PlanInput{Observed: shim.Nothing()}},
		{"the ambassador's probes have not answered", shim.PlanInput{Observed: upTo("fetch")}},
		{"the ambassador is not ready", shim.PlanInput{Observed: upTo("fetch"), Health: healthy("proxy")}},
		{"the ambassador is ready", shim.PlanInput{Observed: upTo("fetch"), Health: healthy()}},
		{"the first init runs", shim.PlanInput{Observed: with(upTo("migrate"), task("fetch", shim.TaskRunning)), Health: healthy()}},
		{"the first init failed", shim.PlanInput{Observed: with(upTo("migrate"), task("fetch", shim.TaskStopped, 1)), Health: healthy()}},
		{"the first init ended well", shim.PlanInput{Observed: upTo("migrate"), Health: healthy()}},
		{"the inits ended well", shim.PlanInput{Observed: upTo("shipper"), Health: healthy()}},
		{"the last init failed for good, which is ignored", shim.PlanInput{Want: ignored, Observed: with(seen(ignored, every(shim.TaskCreated), task("proxy", shim.TaskRunning), task("fetch", shim.TaskStopped, 0), task("migrate", shim.TaskStopped, 1))), Health: healthy()}},
		{"a sidecar is not ready", shim.PlanInput{Observed: with(upTo("shipper"), task("store", shim.TaskRunning)), Health: healthy("store")}},
		{"the sidecar that another comes after is ready", shim.PlanInput{Observed: with(upTo("shipper"), task("store", shim.TaskRunning)), Health: healthy()}},
		{"all is as wanted", shim.PlanInput{Observed: seen(g, done...), Health: healthy()}},
		{"all runs, and nothing is known of it yet", shim.PlanInput{Observed: seen(g, done...)}},
		{"an app ended while a sidecar is not ready", shim.PlanInput{Observed: with(seen(g, done...), task("web", shim.TaskStopped, 1)), Health: healthy("store")}},
		{"an app ended while the ambassador is not ready", shim.PlanInput{Observed: with(seen(g, done...), task("web", shim.TaskStopped, 1)), Health: healthy("proxy")}},
		{"an app and the ambassador ended", shim.PlanInput{Observed: with(seen(g, done...), task("web", shim.TaskStopped, 1), task("proxy", shim.TaskStopped, 1))}},
		{"an app's probes want it restarted", shim.PlanInput{Observed: seen(g, done...), Health: map[string]shim.Health{
			"proxy": {Ready: true}, "store": {Ready: true}, "web": {Ready: true, Dead: true, Said: "its live probe failed 3 times in a row: http 127.0.0.1:8080/: status 500"},
		}}},
		{"the definition of an init changed", shim.PlanInput{Want: ordered(shimtest.EditContainer("fetch", shimtest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"the ambassador's definition changed", shim.PlanInput{Want: ordered(shimtest.EditContainer("proxy", shimtest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"the ambassador's and the app's definition changed", shim.PlanInput{Want: ordered(shimtest.EditContainer("proxy", shimtest.Command("/new")), shimtest.EditContainer("web", shimtest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"after a boot", shim.PlanInput{Observed: seen(g, every(shim.TaskNone), net(absent, absent, absent, absent), noMounts)}},
		{"whether it has ended is unknown", shim.PlanInput{EndedErr: errBlind, Observed: shim.Nothing()}},
		{"it has ended", shim.PlanInput{Ended: &shim.Ended{State: shim.Completed}, Observed: seen(g, done...), Health: healthy()}},
	}
	var got strings.Builder
	for _, tt := range tests {
		if tt.in.Want == nil {
			tt.in.Want = g
		}
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		steps := shim.Texts(shim.Plan(tt.in))
		for _, s := range steps {
			got.WriteString(s + "\n")
		}
		if waits := shim.Awaits(tt.in); waits != "" && len(steps) == 0 {
			got.WriteString("(" + waits + ")\n")
		}
		got.WriteString("\n")
	}
	golden(t, "order.golden", got.String())
}
