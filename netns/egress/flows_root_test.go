package egress_test

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// The table of an older daemon becomes the wanted one in place. What was counted and recorded
// stays, and the flows that the caller knows of are remembered.
func TestRootOlderTableIsTakenOver(t *testing.T) {
	netnstest.Root(t)
	all, names := policies(t)
	ns := netnstest.NewNamespace(t)
	text, err := os.ReadFile("testdata/ambassador_older.nft")
	if err != nil {
		t.Fatal(err)
	}
	older := string(text)
	for from, to := range names {
		older = strings.ReplaceAll(older, from, to)
	}
	netnstest.NFT(t, ns, older, "-f", "-")
	if ok, err := egress.Denies(ns); !ok || err != nil {
		t.Fatalf("denies: %v, %v; want yes, or the group would be sealed first", ok, err)
	}
	if ok, err := egress.Remembers(ns); ok || err != nil {
		t.Fatalf("remembers: %v, %v; want no", ok, err)
	}
	p := all["ambassador"]
	p.Opened = []egress.Flow{
		{Remote: netip.MustParseAddrPort("192.0.2.1:443"), Port: 5000},
		{Remote: netip.MustParseAddrPort("[2001:db8::1]:443"), Port: 5001},
	}
	if !apply(t, ns, p) {
		t.Error("nothing has changed")
	}
	for set, want := range map[string]string{"flows4": "192.0.2.1 . 443 . 5000", "flows6": "2001:db8::1 . 443 . 5001"} {
		if listing := netnstest.NFT(t, ns, "", "list", "set", "inet", egress.TableName, set); !strings.Contains(listing, want) {
			t.Errorf("%s lacks %q:\n%s", set, want, listing)
		}
		netnstest.NFT(t, ns, "", "flush", "set", "inet", egress.TableName, set)
	}
	if c, err := egress.ReadCounters(ns); err != nil || c.AmbassadorOut != (ruleset.Counter{Packets: 7, Bytes: 700}) {
		t.Errorf("counted: %+v, %v; want 7 packets of the ambassador", c.AmbassadorOut, err)
	}
	netnstest.ListsAs(t, ns, egress.TableName, "testdata/ambassador.nft", names)
	if ok, err := egress.Remembers(ns); !ok || err != nil {
		t.Errorf("remembers: %v, %v; want yes", ok, err)
	}
	if ok, err := egress.InForce(ns, all["ambassador"]); !ok || err != nil {
		t.Errorf("in force: %v, %v; want yes", ok, err)
	}
}

// While the ambassador has too many UDP flows open, another one is refused at once and counted.
// Those that are open go on, and published ports serve their callers.
func TestRootTooManyFlows(t *testing.T) {
	netnstest.Root(t)
	all, _ := policies(t)
	out := netnstest.NewOutside(t)
	apply(t, out.NS, all["ambassador"])
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	proxy := path.Join(netnstest.CgroupRoot(), "g/ambassador/proxy")
	if _, err := h.Make(proxy); err != nil {
		t.Fatal(err)
	}
	ambassador, world := netnstest.NewHelper(t, out.NS, proxy), netnstest.NewHelper(t, nil, "")
	defer ambassador.Kill()
	socket := func(p *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
		s, err := p.UDP(at.Addr())
		if err == nil {
			err = s.Bind(at)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	there, others := netip.AddrPortFrom(out.Host4, 7001), netip.AddrPortFrom(out.Host4, 7002)
	callee, caller := socket(world, there), socket(world, others)
	own, served := netip.AddrPortFrom(out.Addr4, 5000), netip.AddrPortFrom(out.Addr4, 53)
	s, published := socket(ambassador, own), socket(ambassador, served)
	exchange := func(what string, from *netnstest.Socket, to netip.AddrPort, at *netnstest.Socket) {
		t.Helper()
		if err := from.SendTo(to, what); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, _, err := at.Receive(20 * time.Second); got != what || err != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	exchange("the first", s, there, callee)
	var many strings.Builder
	for i := range ruleset.DynamicSize - 1 {
		fmt.Fprintf(&many, "%s192.0.2.%d . %d . 1", map[bool]string{true: "", false: ", "}[i == 0], i>>15, 1+i&0x7fff)
	}
	netnstest.NFT(t, out.NS, "add element inet sallyport flows4 { "+many.String()+" }\n", "-f", "-")
	full := func() uint64 {
		t.Helper()
		c, err := egress.ReadCounters(out.NS)
		if err != nil {
			t.Fatal(err)
		}
		return c.FlowsFull.Packets
	}
	if n := full(); n != 0 {
		t.Fatalf("%d datagrams are refused before the set is full", n)
	}
	err = s.SendTo(others, "one too many")
	if got, _, arrived := caller.Receive(100 * time.Millisecond); arrived == nil || err == nil || full() != 1 {
		t.Errorf("another flow: sent %v, received %q, %d counted; want an error and one counted", err, got, full())
	}
	exchange("the first goes on", s, there, callee)
	exchange("its answer", callee, own, s)
	exchange("a caller", caller, served, published)
	exchange("its answer, too", published, others, caller)
	netnstest.NFT(t, out.NS, "", "delete element inet sallyport flows4 { 192.0.2.0 . 1 . 1 }")
	exchange("a place is free", s, others, caller)
}
