package plan_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// A container that has ended is not started again before one that it comes after and that has not
// been started yet, since that one is being replaced or was just added.
func TestStartedAgainAfterWhatIsNew(t *testing.T) {
	g := ordered()
	unprobed := ordered(func(g *spec.Group) {
		for i := range g.Containers {
			g.Containers[i].Probes = nil
		}
	})
	newInit := ordered(hosttest.EditContainer("fetch", hosttest.Command("/new")))
	newStore := ordered(hosttest.EditContainer("store", hosttest.Command("/new")))
	done := []func(*plan.Observed){task("fetch", host.TaskStopped, 0), task("migrate", host.TaskStopped, 0)}
	ended := func(name string) func(*plan.Observed) { return task(name, host.TaskStopped, 1) }
	for _, tt := range []struct {
		name   string
		want   *spec.Group
		seen   []func(*plan.Observed) // besides inits that have ended well
		ready  map[string]host.Health
		starts []string // in order
	}{
		{"a sidecar could not be created, and the ambassador and the app ended", unprobed,
			[]func(*plan.Observed){ended("proxy"), ended("web"), lacks("shipper"), lacks("store")}, nil, []string{"proxy", "store", "shipper", "web"}},
		{"a sidecar waits for another one", g, []func(*plan.Observed){ended("web"), task("shipper", host.TaskCreated)}, healthy("store"), nil},
		{"a sidecar waits for an init that is new", newInit, []func(*plan.Observed){ended("web"), lacks("store")}, healthy(), []string{"fetch"}},
		{"the sidecar that another comes after is replaced", newStore, []func(*plan.Observed){ended("shipper")}, healthy(), []string{"store", "shipper"}},
		{"an init is replaced", newInit, []func(*plan.Observed){ended("web")}, healthy(), []string{"fetch", "web"}},
		{"the second init is to be started", g, []func(*plan.Observed){ended("store"), ended("web"), task("fetch", host.TaskRunning), task("migrate", host.TaskCreated)}, healthy(), nil},
		{"a sidecar ended, and the state of the one that it comes after is unknown", g, []func(*plan.Observed){ended("shipper"), task("store", host.TaskUnknown)}, healthy(), nil},
		{"a sidecar runs and is not ready", g, []func(*plan.Observed){ended("web")}, healthy("store"), []string{"web"}},
		{"a sidecar has ended too, and is started again", g, []func(*plan.Observed){ended("store"), ended("web")}, healthy(), []string{"store", "web"}},
	} {
		before := g
		if tt.want == unprobed {
			before = unprobed
		}
		o := with(seen(before, done...), tt.seen...)
		var got []string
		for _, s := range plan.Steps(plan.Input{Want: tt.want, Observed: o, Health: tt.ready, Now: noon, Layout: fixedLayout}) {
			if s.Kind == plan.Start {
				got = append(got, s.Targets[0].Name)
			}
		}
		if !slices.Equal(got, tt.starts) {
			t.Errorf("%s: starts %v, want %v", tt.name, got, tt.starts)
		}
	}
}
