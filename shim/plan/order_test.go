package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// ordered returns a group that uses every rule of the start order: an ambassador and a sidecar with
// ready probes, two inits, a sidecar after one that stands below it, an app.
func ordered(edits ...func(*spec.Group)) *spec.Group {
	ready := []spec.Probe{{Kind: "ready", TCP: &spec.TCPProbe{Port: 9001}}}
	return hosttest.Checkout(append([]func(*spec.Group){func(g *spec.Group) {
		proxy, web := g.Containers[0], g.Containers[2]
		proxy.Probes = ready
		g.Containers = []spec.Container{
			proxy,
			{Name: "fetch", Role: spec.Init, Image: "fetch:1", Stop: hosttest.Grace(10)},
			{Name: "migrate", Role: spec.Init, Image: "migrate:1", Stop: hosttest.Grace(10)},
			{Name: "shipper", Role: spec.Sidecar, Image: "shipper:3", Stop: hosttest.Grace(10), After: []string{"store"}},
			{Name: "store", Role: spec.Sidecar, Image: "store:3", Stop: hosttest.Grace(10), Probes: ready},
			web,
		}
	}}, edits...)...)
}

// healthy returns the health of all containers: ready, except the named ones.
func healthy(but ...string) map[string]host.Health {
	h := map[string]host.Health{}
	for _, name := range []string{"proxy", "store"} {
		h[name] = host.Health{Started: true, Ready: true}
	}
	for _, name := range but {
		h[name] = host.Health{Started: true, Reason: "its ready probe failed: tcp 127.0.0.1:9001: connection refused"}
	}
	return h
}

// upTo returns ordered with the named container's turn come. Those before it are as they should be,
// the others are created.
func upTo(name string) plan.Observed {
	g := ordered()
	edits := []func(*plan.Observed){}
	below := false
	for _, c := range g.Containers {
		switch below = below || c.Name == name; {
		case below:
			edits = append(edits, task(c.Name, host.TaskCreated))
		case c.Role == spec.Init:
			edits = append(edits, task(c.Name, host.TaskStopped, 0))
		}
	}
	return seen(g, edits...)
}

// with returns an observation with changes.
func with(o plan.Observed, edits ...func(*plan.Observed)) plan.Observed {
	o.Containers = slices.Clone(o.Containers)
	for _, edit := range edits {
		edit(&o)
	}
	return o
}

func TestOrder(t *testing.T) {
	g := ordered()
	done := []func(*plan.Observed){task("fetch", host.TaskStopped, 0), task("migrate", host.TaskStopped, 0)}
	ignored := ordered(hosttest.EditContainer("migrate", func(c *spec.Container) {
		c.OnFailure, c.Restart.Policy = spec.FailureIgnored, spec.RestartNever
	}))
	apps := ordered(hosttest.AddApp("api", 5), hosttest.EditContainer("web", func(c *spec.Container) { c.After = []string{"api"} }),
		hosttest.EditContainer("api", func(c *spec.Container) {
			c.Probes = []spec.Probe{{Kind: spec.ProbeReady, TCP: &spec.TCPProbe{Port: 5432}}}
		}))
	tests := []struct {
		name string
		in   plan.Input
	}{
		{"a preview shows all of it", plan.Input{Observed: plan.Nothing(), AssumeReady: true}},
		{"nothing is there", plan.Input{Observed: plan.Nothing()}},
		{"the ambassador's probes have not answered", plan.Input{Observed: upTo("fetch")}},
		{"the ambassador is not ready", plan.Input{Observed: upTo("fetch"), Health: healthy("proxy")}},
		{"the ambassador is ready", plan.Input{Observed: upTo("fetch"), Health: healthy()}},
		{"the first init runs", plan.Input{Observed: with(upTo("migrate"), task("fetch", host.TaskRunning)), Health: healthy()}},
		{"the first init failed", plan.Input{Observed: with(upTo("migrate"), task("fetch", host.TaskStopped, 1)), Health: healthy()}},
		{"the first init ended well", plan.Input{Observed: upTo("migrate"), Health: healthy()}},
		{"the inits ended well", plan.Input{Observed: upTo("shipper"), Health: healthy()}},
		{"the last init failed for good, which is ignored", plan.Input{Want: ignored, Observed: with(seen(ignored, every(host.TaskCreated), task("proxy", host.TaskRunning), task("fetch", host.TaskStopped, 0), task("migrate", host.TaskStopped, 1))), Health: healthy()}},
		{"a sidecar is not ready", plan.Input{Observed: with(upTo("shipper"), task("store", host.TaskRunning)), Health: healthy("store")}},
		{"the sidecar that another comes after is ready", plan.Input{Observed: with(upTo("shipper"), task("store", host.TaskRunning)), Health: healthy()}},
		{"all is as wanted", plan.Input{Observed: seen(g, done...), Health: healthy()}},
		{"all runs, and nothing is known of it yet", plan.Input{Observed: seen(g, done...)}},
		{"an app ended while a sidecar is not ready", plan.Input{Observed: with(seen(g, done...), task("web", host.TaskStopped, 1)), Health: healthy("store")}},
		{"an app ended while the ambassador is not ready", plan.Input{Observed: with(seen(g, done...), task("web", host.TaskStopped, 1)), Health: healthy("proxy")}},
		{"an app and the ambassador ended", plan.Input{Observed: with(seen(g, done...), task("web", host.TaskStopped, 1), task("proxy", host.TaskStopped, 1))}},
		{"an app's probes want it restarted", plan.Input{Observed: seen(g, done...), Health: map[string]host.Health{
			"proxy": {Ready: true}, "store": {Ready: true}, "web": {Ready: true, Failed: true, Reason: "its live probe failed 3 times in a row: http 127.0.0.1:8080/: status 500"},
		}}},
		{"the definition of an init changed", plan.Input{Want: ordered(hosttest.EditContainer("fetch", hosttest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"the ambassador's definition changed", plan.Input{Want: ordered(hosttest.EditContainer("proxy", hosttest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"the ambassador's and the app's definition changed", plan.Input{Want: ordered(hosttest.EditContainer("proxy", hosttest.Command("/new")), hosttest.EditContainer("web", hosttest.Command("/new"))), Observed: seen(g, done...), Health: healthy()}},
		{"an app after another that is not ready", plan.Input{Want: apps, Observed: with(seen(apps, done...), task("web", host.TaskCreated), task("api", host.TaskCreated)), Health: healthy("api")}},
		{"an app after another that runs", plan.Input{Want: apps, Observed: with(seen(apps, done...), task("web", host.TaskCreated)), Health: healthy("api")}},
		{"an app after another that is ready", plan.Input{Want: apps, Observed: with(seen(apps, done...), task("web", host.TaskCreated)), Health: map[string]host.Health{"proxy": {Ready: true}, "store": {Ready: true}, "api": {Ready: true}}}},
		{"an app after another ended, and so has that", plan.Input{Want: apps, Observed: with(seen(apps, done...), task("web", host.TaskStopped, 1), task("api", host.TaskStopped, 1)), Health: healthy()}},
		{"a preview of apps after each other", plan.Input{Want: apps, Observed: plan.Nothing(), AssumeReady: true}},
		{"after a boot", plan.Input{Observed: seen(g, every(host.TaskNone), net(absent, absent, absent, absent), noMounts)}},
		{"whether it has ended is unknown", plan.Input{EndedErr: errBlind, Observed: plan.Nothing()}},
		{"it has ended", plan.Input{Ended: &group.Ended{State: group.Completed}, Observed: seen(g, done...), Health: healthy()}},
	}
	var got strings.Builder
	for _, tt := range tests {
		if tt.in.Want == nil {
			tt.in.Want = g
		}
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		steps := plan.Texts(plan.Steps(tt.in))
		for _, s := range steps {
			got.WriteString(s + "\n")
		}
		if waits := plan.Blocked(tt.in); waits != "" && len(steps) == 0 {
			got.WriteString("(" + waits + ")\n")
		}
		got.WriteString("\n")
	}
	golden(t, "order.golden", got.String())
}
