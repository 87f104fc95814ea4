package netns_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A route to the outside comes and goes with the uplink's. A route that refuses is none.
func TestRootHasRoute(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	want := func(when string, want4, want6 bool) {
		t.Helper()
		for addr, want := range map[netip.Addr]bool{v4: want4, v6: want6} {
			got, err := netns.HasRoute(addr)
			if err != nil || got != want {
				t.Errorf("%s: a route to %s: %v, %v, want %v", when, addr, got, err, want)
			}
		}
	}
	add := func(r netlink.Route) error { return netlink.RouteAdd(&r) }
	netnstest.In(t, ns, func() error {
		want("without a link", false, false)
		link := addPair(t, "up")
		peer, err := netlink.LinkByName("upp")
		if err != nil {
			return err
		}
		for _, l := range []netlink.Link{link, peer} {
			if err := netlink.LinkSetUp(l); err != nil {
				return err
			}
		}
		for _, r := range []string{"0.0.0.0/0", "::/0"} {
			dst, _ := netlink.ParseIPNet(r)
			if err := add(netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst}); err != nil {
				return err
			}
		}
		want("with default routes", true, true)
		for _, r := range []string{"192.0.2.0/24", "2001:db8::/32"} {
			dst, _ := netlink.ParseIPNet(r)
			if err := add(netlink.Route{Type: unix.RTN_UNREACHABLE, Dst: dst}); err != nil {
				return err
			}
		}
		want("with routes that refuse", false, false)
		return nil
	})
}
