package shim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// bounded gives the whole group bounds.
func bounded(r spec.Resources) func(*spec.Group) { return func(g *spec.Group) { g.Resources = r } }

func bounds(p shim.Presence) func(*shim.Observed) { return func(o *shim.Observed) { o.Bounds = p } }

func TestPlanLimits(t *testing.T) {
	swap := int64(64 << 20)
	all := shimtest.Checkout(bounded(spec.Resources{CPU: 1.5, Memory: 512 << 20, Swap: &swap, PIDs: 100, IOWeight: 50}))
	noSwap := shimtest.Checkout(bounded(spec.Resources{Memory: 512 << 20, Swap: new(int64)}))
	changed := shimtest.Checkout(bounded(all.Resources), shimtest.EditContainer("web", shimtest.Command("/bin/new")))
	var got strings.Builder
	for _, tt := range []struct {
		name string
		in   shim.PlanInput
	}{
		{"nothing is there", shim.PlanInput{Want: all, Observed: shim.Nothing()}},
		{"as wanted", shim.PlanInput{Want: all, Observed: seen(all, bounds(present))}},
		{"others than wanted", shim.PlanInput{Want: noSwap, Observed: seen(all, bounds(absent))}},
		{"none wanted any more", shim.PlanInput{Want: shimtest.Checkout(), Observed: seen(all, bounds(absent))}},
		{"with another app", shim.PlanInput{Want: changed, Observed: seen(shimtest.Checkout(), bounds(absent))}},
		{"unknown", shim.PlanInput{Want: all, Observed: seen(all, bounds(unknown))}},
		{"unknown, and something is to start", shim.PlanInput{Want: all, Observed: seen(all, bounds(unknown), task("web", shim.TaskCreated))}},
		{"the network is unknown", shim.PlanInput{Want: all, Observed: seen(all, bounds(absent), net(unknown, unknown, unknown, unknown))}},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range shim.Texts(shim.Plan(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "limits.golden", got.String())
}
