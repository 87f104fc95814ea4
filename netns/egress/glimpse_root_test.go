package egress_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// One visit finds what is found by asking for each thing.
func TestRootVisit(t *testing.T) {
	netnstest.Root(t)
	all, _ := policies(t)
	ns := netnstest.NewNamespace(t)
	if err := netns.ReservePorts(ns, netns.PortsOf(443, 8080)); err != nil {
		t.Fatal(err)
	}
	visit := func(when string, p egress.Policy, denies, inForce bool) {
		t.Helper()
		g, err := egress.Visit(ns, true)
		if err != nil {
			t.Fatal(err)
		}
		for name, ask := range map[string]func() (bool, error){
			"a visit": func() (bool, error) { return g.InForce(ns, p) }, "a question": func() (bool, error) { return egress.InForce(ns, p) },
		} {
			if ok, err := ask(); err != nil || ok != inForce {
				t.Errorf("%s, by %s: in force: %v, %v; want %v", when, name, ok, err, inForce)
			}
		}
		for name, ask := range map[string]func() (bool, error){
			"a visit": func() (bool, error) { return g.Denies(ns) }, "a question": func() (bool, error) { return egress.Denies(ns) },
		} {
			if ok, err := ask(); err != nil || ok != denies {
				t.Errorf("%s, by %s: denies: %v, %v; want %v", when, name, ok, err, denies)
			}
		}
		if want := netns.PortsOf(443, 8080); !slices.Equal(g.Reserved, want) {
			t.Errorf("%s: ports %v are reserved, want %v", when, g.Reserved, want)
		}
	}
	visit("without rules", all["ambassador"], false, false)
	for name, p := range all {
		apply(t, ns, p)
		visit(name, p, true, true)
		netnstest.NFT(t, ns, "insert rule inet sallyport output accept\n", "-f", "-")
		visit(name+" with a rule in front", p, true, false)
		apply(t, ns, p)
		visit(name+" put back", p, true, true)
	}
	apply(t, ns, all["intercept"])
	netnstest.Sysctl(t, ns, "ipv4/fwmark_reflect", "0")
	visit("without reflected marks", all["intercept"], true, false)
	apply(t, ns, all["allow"])
	visit("with rules that don't need them", all["allow"], true, true)
	netnstest.NFT(t, ns, "flush ruleset\n", "-f", "-")
	visit("flushed", all["allow"], false, false)
}
