package shim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
	"github.com/sallyport/sallyport/spec"
)

// volume makes checkout's volume another one.
func volume(v spec.Volume) func(*spec.Group) {
	return func(g *spec.Group) {
		v.Name = "logs"
		g.Volumes = []spec.Volume{v}
	}
}

func TestPlanVolumes(t *testing.T) {
	persistent := shimtest.Checkout(volume(spec.Volume{Persistent: true}))
	owned := shimtest.Checkout(volume(spec.Volume{Persistent: true, Owner: "65532:65532", Mode: 0o2750}))
	host := shimtest.Checkout(volume(spec.Volume{HostPath: "/srv/logs"}))
	asMade := func(g *spec.Group, owner string, mode uint32) shim.Observed {
		return seen(g, func(o *shim.Observed) { o.Volumes[0].Owner, o.Volumes[0].Mode = owner, mode })
	}
	var got strings.Builder
	for _, tt := range []struct {
		name string
		in   shim.PlanInput
	}{
		{"nothing is there, ephemeral with an owner", shim.PlanInput{Want: shimtest.Checkout(volume(spec.Volume{Size: 1 << 20, Owner: "65532:65532"})), Observed: shim.Nothing()}},
		{"nothing is there, persistent", shim.PlanInput{Want: owned, Observed: shim.Nothing()}},
		{"nothing is there, host path", shim.PlanInput{Want: host, Observed: shim.Nothing()}},
		{"ephemeral as wanted", shim.PlanInput{Want: shimtest.Checkout(), Observed: asMade(shimtest.Checkout(), "0:0", 0o1777)}},
		{"persistent as wanted", shim.PlanInput{Want: persistent, Observed: asMade(persistent, "0:0", 0o1777)}},
		{"persistent with an owner as wanted", shim.PlanInput{Want: owned, Observed: asMade(owned, "65532:65532", 0o2750)}},
		{"host path as wanted", shim.PlanInput{Want: host, Observed: running(host)}},
		{"persistent gets an owner", shim.PlanInput{Want: owned, Was: persistent, Observed: asMade(persistent, "0:0", 0o1777)}},
		{"ephemeral becomes persistent", shim.PlanInput{Want: persistent, Was: shimtest.Checkout(), Observed: running(shimtest.Checkout())}},
		{"persistent becomes a host path", shim.PlanInput{Want: host, Was: persistent, Observed: running(persistent)}},
		{"the host's folder is another one", shim.PlanInput{Want: host, Observed: seen(host, func(o *shim.Observed) { o.Volumes[0].HostPath = "/old" })}},
		{"the pin is gone and the volumes are unknown", shim.PlanInput{Want: host, Observed: seen(host, noVolumes, net(absent, absent, absent, absent))}},
		{"gone: persistent", shim.PlanInput{Group: "checkout", Was: persistent, Observed: running(persistent)}},
		{"gone: host path", shim.PlanInput{Group: "checkout", Was: host, Observed: running(host)}},
	} {
		tt.in.Now, tt.in.Layout = noon, fixedLayout
		fmt.Fprintf(&got, "# %s\n", tt.name)
		for _, s := range shim.Texts(shim.Plan(tt.in)) {
			got.WriteString(s + "\n")
		}
		got.WriteString("\n")
	}
	golden(t, "volumes.golden", got.String())
}
