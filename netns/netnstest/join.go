package netnstest

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// An End is one end of a link.
type End struct {
	NS    *os.File // required
	Name  string
	Addrs []string // "192.0.2.1/24"
}

// Join makes a link between two namespaces, up and with its addresses. It ends with the namespaces.
func Join(t testing.TB, a, b End) {
	t.Helper()
	in(t, a.NS, func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = a.Name
		if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerNamespace: netlink.NsFd(b.NS.Fd())}); err != nil {
			return err
		}
		address(t, h, a.Name, a.Addrs...)
		return nil
	})
	in(t, b.NS, func(h *netlink.Handle) error {
		address(t, h, b.Name, b.Addrs...)
		return nil
	})
}

// RoutePrefix adds a route in a namespace to a prefix through an address.
func RoutePrefix(t testing.TB, ns *os.File, to netip.Prefix, by netip.Addr) {
	t.Helper()
	in(t, ns, func(h *netlink.Handle) error {
		dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}
		return h.RouteReplace(&netlink.Route{Dst: dst, Gw: by.AsSlice()})
	})
}

// AddAddress gives a link of a namespace one more address, "192.0.2.1/24".
func AddAddress(t testing.TB, ns *os.File, link, addr string) {
	t.Helper()
	in(t, ns, func(h *netlink.Handle) error {
		address(t, h, link, addr)
		return nil
	})
}

// Neighbour enters the hardware address of the other end of a link for addresses of that end, as
// package netns does for the links of groups.
func Neighbour(t testing.TB, at, other End, addrs ...netip.Addr) {
	t.Helper()
	var mac net.HardwareAddr
	in(t, other.NS, func(h *netlink.Handle) error {
		link, err := h.LinkByName(other.Name)
		if err == nil {
			mac = link.Attrs().HardwareAddr
		}
		return err
	})
	in(t, at.NS, func(h *netlink.Handle) error {
		link, err := h.LinkByName(at.Name)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			n := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: a.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT}
			if err := h.NeighSet(n); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bridge makes a bridge with the addresses in a namespace, and puts the links into it.
func Bridge(t testing.TB, bridge End, links ...string) {
	t.Helper()
	in(t, bridge.NS, func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = bridge.Name
		br := &netlink.Bridge{LinkAttrs: attrs}
		if err := h.LinkAdd(br); err != nil {
			return err
		}
		for _, name := range links {
			l, err := h.LinkByName(name)
			if err != nil {
				return err
			}
			if err := h.LinkSetMaster(l, br); err != nil {
				return err
			}
		}
		address(t, h, bridge.Name, bridge.Addrs...)
		return nil
	})
}
