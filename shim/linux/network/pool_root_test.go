package network

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A daemon with another pool leaves the links that are there as they are, and what they may do. A
// group that is taken down and comes back gets addresses of the new pool.
func TestRootAnotherPoolMovesNoGroup(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) {
		g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 9443, Port: 443, Protocol: "tcp"}}
	})
	before := h.net.Observe(t.Context(), h.group.Name, h.group)
	here := presences(before)
	if here != [3]host.Presence{host.Present, host.Present, host.Present} {
		t.Fatalf("the group is not up: %v", here)
	}
	layout := h.net.layout
	for _, tt := range []struct{ name, prefix4, prefix6 string }{
		{"both families elsewhere", "10.77.0.0/16", "fd77::/64"},
		{"IPv4 elsewhere", "10.77.0.0/16", layout.Prefix6},
		{"IPv6 elsewhere", layout.Prefix4, "fd77::/64"},
		{"a larger one", "10.0.0.0/8", layout.Prefix6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layout := layout
			layout.Prefix4, layout.Prefix6 = tt.prefix4, tt.prefix6
			n := newNetwork(t, layout)
			kept, err := n.KeepAddresses()
			if diff := cmp.Diff([]string{h.group.Name}, kept); err != nil || diff != "" {
				t.Fatalf("kept: %v (-want +got):\n%s", err, diff)
			}
			if err := n.uplink.Ensure(); err != nil { // the rules name the new pool, too
				t.Fatal(err)
			}
			for range 2 { // what the daemon would find and do, twice
				after := n.Observe(t.Context(), h.group.Name, h.group)
				if diff := cmp.Diff(before.Addrs, after.Addrs); diff != "" || presences(after) != here {
					t.Fatalf("%v, addresses (-before +after):\n%s", presences(after), diff)
				}
				if err := n.Connect(t.Context(), h.group); err != nil {
					t.Fatal(err)
				}
			}
			h.reachesOutside(t)
			other := testGroup("other", nil)
			bringUp(t, n, other)
			t.Cleanup(func() { // after its helper has ended
				if err := n.Remove(context.WithoutCancel(t.Context()), other.Name); err != nil {
					t.Error(err)
				}
			})
			if addrs := n.Observe(t.Context(), other.Name, other).Addrs; len(addrs) != 2 || addrs[0] == before.Addrs[0] {
				t.Errorf("another group has %v", addrs)
			}
			ns := must(n.open(other.Name))(t)
			defer ns.Close()
			neighbour := netnstest.NewHelper(t, ns, layout.CgroupParent(other.Name, spec.Ambassador))
			for _, addr := range before.Addrs {
				to := netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
				l := listen(t, h.ambassador, netip.AddrPortFrom(unspecified(to.Addr()), 443))
				c := must(neighbour.TCP(to.Addr()))(t)
				if err := c.Connect(to, longWait); !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("another group to %s: %v, want a refusal", to, err)
				}
				c.Close()
				l.Close()
			}
		})
	}
	layout.Prefix4, layout.Prefix6 = "10.77.0.0/16", "fd77::/64"
	n := newNetwork(t, layout)
	if _, err := n.KeepAddresses(); err != nil {
		t.Fatal(err)
	}
	if err := n.disconnect(h.group.Name); err != nil {
		t.Fatal(err)
	}
	bringUp(t, n, h.group)
	if addrs := n.Observe(t.Context(), h.group.Name, h.group).Addrs; len(addrs) != 2 || addrs[0][:6] != "10.77." {
		t.Errorf("after it was taken down it has %v", addrs)
	}
	again := newNetwork(t, layout)
	if kept, err := again.KeepAddresses(); err != nil || len(kept) > 0 {
		t.Errorf("afterwards there are links of another pool: %v, %v", kept, err)
	}
}

// reachesOutside fails unless the ambassador gets an answer from the outside in each family, which
// knows no way back to a group's own address, and its published port one from there.
func (h *harness) reachesOutside(t *testing.T) {
	t.Helper()
	for _, to := range h.families() {
		at := netip.AddrPortFrom(to, 443)
		l := listen(t, h.remote, at)
		if err := exchange(t, h.ambassador, at, l); err != nil {
			t.Errorf("the ambassador to %s: %v", at, err)
		}
		l.Close()
	}
	l := listen(t, h.ambassador, netip.AddrPortFrom(netip.IPv4Unspecified(), 443))
	defer l.Close()
	if err := exchange(t, h.remote, netip.AddrPortFrom(h.out.Host4, 9443), l); err != nil {
		t.Errorf("published port: %v", err)
	}
}
