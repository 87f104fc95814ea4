package netns_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// newCrowd makes a namespace with as many links as a host with that many groups, each with
// addresses and neighbours. It returns the last link with its addresses.
func newCrowd(t *testing.T, links int) (e netns.End, one netlink.Link, want []netip.Addr) {
	t.Helper()
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	netnstest.In(t, ns, func() (err error) {
		e, err = netns.HostEnd()
		return err
	})
	t.Cleanup(e.Close)
	for n := range links {
		l := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("link", n)}, PeerName: fmt.Sprint("peer", n)}
		if err := e.LinkAdd(l); err != nil {
			t.Fatal(err)
		}
		if err := e.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		own := []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n), 0}), netip.MustParseAddr(fmt.Sprintf("fd00:%x::", n+1))}
		peers := []netip.Addr{own[0].Next(), own[1].Next()}
		for _, a := range own {
			if err := netns.AddAddress(e.Handle, l, a); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Enter(l, peers); err != nil {
			t.Fatal(err)
		}
		one, want = l, own
	}
	return e, one, want
}

// The kernel sends what one link has, however many others there are.
func TestRootOneLinkIsAskedFor(t *testing.T) {
	answers := map[int]int{} // messages with addresses, by the number of links
	for _, links := range []int{1, 30} {
		e, one, _ := newCrowd(t, links)
		if !e.Alone() {
			t.Skip("this kernel lists everything")
		}
		addrs, err := e.Answers(one)
		if err != nil || addrs < 2 {
			t.Fatalf("%d messages for two addresses: %v", addrs, err)
		}
		answers[links] = addrs
	}
	if answers[1] != answers[30] {
		t.Errorf("beside no other link %d messages are sent, beside 29 others %d", answers[1], answers[30])
	}
}

// The sysctls that come with a link are those of its files.
func TestRootSysctlsOfALink(t *testing.T) {
	netnstest.Root(t)
	netnstest.In(t, netnstest.NewNamespace(t), func() error {
		e, err := netns.HostEnd()
		if err != nil {
			return err
		}
		defer e.Close()
		l := netns.Link{Name: "near", Localhost: true}
		if err := e.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: l.Name}, PeerName: "far"}); err != nil {
			return err
		}
		for _, wrong := range []string{"", "addr_gen_mode", "accept_ra", "route_localnet"} {
			if err := netns.SetHostEnd(l, wrong); err != nil {
				return err
			}
			want := wrong == ""
			if fromLink, fromFiles, err := e.HostEndAsWanted(l); err != nil || fromLink != want || fromFiles != want {
				t.Errorf("wrong %q: %v by the link, %v by the files, %v", wrong, fromLink, fromFiles, err)
			}
		}
		return nil
	})
}

// What one link has is the same, whether the kernel is asked for it alone or for everything.
func TestRootOneLinkAsListed(t *testing.T) {
	e, one, want := newCrowd(t, 3)
	for name, e := range map[string]netns.End{"alone": e, "listed": e.Listed()} {
		found, err := e.Addrs(one)
		if err != nil {
			t.Fatal(err)
		}
		var own []netip.Addr
		for _, a := range found {
			if ip, _ := netip.AddrFromSlice(a.IP); !ip.Unmap().IsLinkLocalUnicast() {
				own = append(own, ip.Unmap())
				if ones, bits := a.Mask.Size(); ones != bits-1 || a.Peer != nil {
					t.Errorf("%s: address %v with peer %v", name, a.IPNet, a.Peer)
				}
			}
		}
		slices.SortFunc(own, netip.Addr.Compare)
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(own)); diff != "" {
			t.Errorf("%s: addresses (-want +got):\n%s", name, diff)
		}
		for _, other := range []netip.Addr{want[0].Next(), want[1].Next()} {
			if ok, err := e.HasNeighbours(one, other); err != nil || !ok {
				t.Errorf("%s: neighbour %s: %v, %v", name, other, ok, err)
			}
		}
		if ok, err := e.HasNeighbours(one, netip.MustParseAddr("10.0.0.1")); err != nil || ok {
			t.Errorf("%s: another link's neighbour: %v, %v", name, ok, err)
		}
	}
}

// A link that is gone has nothing.
func TestRootOneLinkGone(t *testing.T) {
	e, one, _ := newCrowd(t, 2)
	if err := e.LinkDel(one); err != nil {
		t.Fatal(err)
	}
	if got, err := e.Addrs(one); err != nil || len(got) > 0 {
		t.Errorf("addresses of a link that is gone: %v, %v", got, err)
	}
	if ok, err := e.HasNeighbours(one, netip.MustParseAddr("10.0.1.1")); err != nil || ok {
		t.Errorf("neighbours of a link that is gone: %v, %v", ok, err)
	}
}

// A link and the routes are the same, whether the kernel is asked by us or by the library.
func TestRootLinkAsListed(t *testing.T) {
	e, one, want := newCrowd(t, 3)
	if !e.Alone() {
		t.Skip("this kernel lists everything")
	}
	down := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "down", Alias: "an alias"}, PeerName: "other"}
	if err := e.LinkAdd(down); err != nil {
		t.Fatal(err)
	}
	tbf := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: one.Attrs().Index, Parent: netlink.HANDLE_ROOT}, Rate: 1e6, Limit: 1e5, Buffer: 1e5}
	if err := e.QdiscReplace(tbf); err != nil {
		t.Fatal(err)
	}
	for name, queue := range map[string]string{one.Attrs().Name: "tbf", "link0": "noqueue", "down": "noop", "lo": "noqueue"} {
		got, kind, err := e.Find(name)
		if err != nil || got == nil {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		listed, _, err := e.Listed().Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []netlink.Link{got, listed} {
			l.Attrs().Statistics = nil
		}
		if diff := cmp.Diff(listed.Attrs(), got.Attrs()); diff != "" {
			t.Errorf("%s (-listed +asked for):\n%s", name, diff)
		}
		if kind != queue && name != "lo" {
			t.Errorf("%s has a queue of kind %q, want %q", name, kind, queue)
		}
	}
	for name, e := range map[string]netns.End{"asked for": e, "listed": e.Listed()} {
		if got, kind, err := e.Find("absent"); err != nil || got != nil || kind != "" {
			t.Errorf("%s: an absent link: %v, %q, %v", name, got, kind, err)
		}
	}

	to := &net.IPNet{IP: net.IPv4(192, 0, 2, 0).To4(), Mask: net.CIDRMask(24, 32)}
	for _, r := range []netlink.Route{
		{Dst: to, Type: unix.RTN_PROHIBIT},
		{LinkIndex: one.Attrs().Index, Gw: want[0].Next().AsSlice(), Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}},
		{LinkIndex: one.Attrs().Index, Gw: want[1].Next().AsSlice(), Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}},
		{LinkIndex: one.Attrs().Index, Dst: to, Table: 99},
	} {
		if err := e.RouteAdd(&r); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
	}
	lines := func(e netns.End) (out []string) {
		t.Helper()
		routes, err := e.Routes()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			out = append(out, fmt.Sprint(r.Dst, r.Gw, r.LinkIndex, r.Type))
		}
		slices.Sort(out)
		return out
	}
	asked := lines(e)
	if diff := cmp.Diff(lines(e.Listed()), asked); diff != "" || len(asked) < 6 {
		t.Errorf("%d routes (-listed +asked for):\n%s", len(asked), diff)
	}
}
