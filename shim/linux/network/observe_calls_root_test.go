package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An observation of a group that is as wanted takes few system calls. The bound is the
// number that was measured, and a tenth more. Each further container takes one call.
func TestRootCallsOfAnObservation(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", func(g *spec.Group) {
		g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}}
	})
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	calls := netnstest.NewCallCounter(t)
	n.Observe(t.Context(), g.Name, g)
	var seen host.NetState
	made := calls.Count(func() { seen = n.Observe(t.Context(), g.Name, g) })
	t.Logf("%d calls", made)
	if diff := cmp.Diff([3]host.Presence{host.Present, host.Present, host.Present}, presences(seen)); diff != "" {
		t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
	}
	if most := 105; made > most {
		t.Errorf("%d calls for an observation, want %d at most", made, most)
	}
	if made < 20 {
		t.Errorf("%d calls for an observation: they are not counted", made)
	}
}
