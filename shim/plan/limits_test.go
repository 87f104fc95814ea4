package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// limited sets limits of the whole group.
func limited(r spec.Resources) func(*spec.Group) { return func(g *spec.Group) { g.Resources = r } }

func limits(p host.Presence) func(*plan.Observed) { return func(o *plan.Observed) { o.Limits = p } }

func TestPlanLimits(t *testing.T) {
	swap := int64(64 << 20)
	all := hosttest.Checkout(limited(spec.Resources{CPU: 1.5, Memory: 512 << 20, Swap: &swap, PIDs: 100, IOWeight: 50}))
	noSwap := hosttest.Checkout(limited(spec.Resources{Memory: 512 << 20, Swap: new(int64)}))
	weighed := hosttest.Checkout(hosttest.EditContainer("web", func(c *spec.Container) { c.Resources.IOWeight = 300 }))
	changed := hosttest.Checkout(limited(all.Resources), hosttest.EditContainer("web", hosttest.Command("/bin/new")))
	bounded := hosttest.Checkout(hosttest.EditContainer("web", func(c *spec.Container) { c.Resources.Disk = 1 << 30 }))
	var got strings.Builder
	for _, tt := range []struct {
		name string
		in   plan.Input
	}{
		{"nothing is there", plan.Input{Want: all, Observed: plan.Nothing()}},
		{"as wanted", plan.Input{Want: all, Observed: seen(all, limits(present))}},
		{"others than wanted", plan.Input{Want: noSwap, Observed: seen(all, limits(absent))}},
		{"none wanted any more", plan.Input{Want: hosttest.Checkout(), Observed: seen(all, limits(absent))}},
		{"with another app", plan.Input{Want: changed, Observed: seen(hosttest.Checkout(), limits(absent))}},
		{"unknown", plan.Input{Want: all, Observed: seen(all, limits(unknown))}},
		{"unknown, and something is to start", plan.Input{Want: all, Observed: seen(all, limits(unknown), task("web", host.TaskCreated))}},
		{"a container's disk weight is missing", plan.Input{Want: weighed, Observed: seen(weighed, limits(absent))}},
		{"a container's disk weight is unknown, and something is to start", plan.Input{Want: weighed, Observed: seen(weighed, limits(unknown), task("web", host.TaskCreated))}},
		{"a container's bound on disk is another", plan.Input{Want: bounded, Observed: seen(bounded, limits(absent))}},
		{"a container's bound on disk is unknown, and something is to start", plan.Input{Want: bounded, Observed: seen(bounded, limits(unknown), task("web", host.TaskCreated))}},
		{"the network is unknown", plan.Input{Want: all, Observed: seen(all, limits(absent), net(unknown, unknown, unknown, unknown))}},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range plan.Texts(plan.Steps(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "limits.golden", got.String())
}
