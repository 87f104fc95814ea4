package netns

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Each end of the link has permanent neighbour entries for the other. So neither ARP nor neighbour
// discovery is needed. For IPv6 it would not even work on a host that forwards: it needs a
// link-local address, and the host's end has none.

// ensureNeighbours enters the addresses of the other end, whose hardware address is mac.
func ensureNeighbours(e end, link netlink.Link, addrs []netip.Addr, mac net.HardwareAddr) error {
	for _, a := range addrs {
		n := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: a.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT}
		if err := e.NeighSet(n); err != nil {
			return fmt.Errorf("enter neighbour %s: %w", a, err)
		}
	}
	return nil
}

func hasNeighbours(e end, link netlink.Link, addrs []netip.Addr, mac net.HardwareAddr) (bool, error) {
	for _, a := range addrs {
		n, ok, err := e.neighbour(link, a)
		if err != nil || !ok || n.State != netlink.NUD_PERMANENT || !bytes.Equal(n.HardwareAddr, mac) {
			return false, err
		}
	}
	return true, nil
}
