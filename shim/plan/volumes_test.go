package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/spec"
)

// volume replaces checkout's volume.
func volume(v spec.Volume) func(*spec.Group) {
	return func(g *spec.Group) {
		v.Name = "logs"
		g.Volumes = []spec.Volume{v}
	}
}

func TestPlanVolumes(t *testing.T) {
	persistent := hosttest.Checkout(volume(spec.Volume{Persistent: true}))
	owned := hosttest.Checkout(volume(spec.Volume{Persistent: true, Owner: "65532:65532", Mode: 0o2750}))
	host := hosttest.Checkout(volume(spec.Volume{HostPath: "/srv/logs"}))
	asMade := func(g *spec.Group, owner string, mode uint32) plan.Observed {
		return seen(g, func(o *plan.Observed) { o.Volumes[0].Owner, o.Volumes[0].Mode = owner, mode })
	}
	var got strings.Builder
	for _, tt := range []struct {
		name string
		in   plan.Input
	}{
		{"nothing is there, ephemeral with an owner", plan.Input{Want: hosttest.Checkout(volume(spec.Volume{Size: 1 << 20, Owner: "65532:65532"})), Observed: plan.Nothing()}},
		{"nothing is there, persistent", plan.Input{Want: owned, Observed: plan.Nothing()}},
		{"nothing is there, host path", plan.Input{Want: host, Observed: plan.Nothing()}},
		{"ephemeral as wanted", plan.Input{Want: hosttest.Checkout(), Observed: asMade(hosttest.Checkout(), "0:0", 0o1777)}},
		{"persistent as wanted", plan.Input{Want: persistent, Observed: asMade(persistent, "0:0", 0o1777)}},
		{"persistent with an owner as wanted", plan.Input{Want: owned, Observed: asMade(owned, "65532:65532", 0o2750)}},
		{"host path as wanted", plan.Input{Want: host, Observed: running(host)}},
		{"persistent gets an owner", plan.Input{Want: owned, Previous: persistent, Observed: asMade(persistent, "0:0", 0o1777)}},
		{"ephemeral becomes persistent", plan.Input{Want: persistent, Previous: hosttest.Checkout(), Observed: running(hosttest.Checkout())}},
		{"persistent becomes a host path", plan.Input{Want: host, Previous: persistent, Observed: running(persistent)}},
		{"the host's folder is another one", plan.Input{Want: host, Observed: seen(host, func(o *plan.Observed) { o.Volumes[0].HostPath = "/old" })}},
		{"the pin is gone and the volumes are unknown", plan.Input{Want: host, Observed: seen(host, noVolumes, net(absent, absent, absent, absent))}},
		{"gone: persistent", plan.Input{Group: "checkout", Previous: persistent, Observed: running(persistent)}},
		{"gone: host path", plan.Input{Group: "checkout", Previous: host, Observed: running(host)}},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range plan.Texts(plan.Steps(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "volumes.golden", got.String())
}
