package host

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// A Denial is what one container of a group was refused on its way to one destination, added up for as long as the kernel
// remembers it: until nothing was refused there for an hour, or the group's rules were made anew.
type Denial struct {
	Container   string         `json:"container"` // empty: one that was gone before it could be named
	Protocol    string         `json:"protocol"`  // "tcp", "udp", "icmp", "ipv6-icmp"; else the protocol's number
	Destination netip.AddrPort `json:"destination"`
	Packets     uint64         `json:"packets"`
	Bytes       uint64         `json:"bytes"`
}

// Destination is where a denial's packets were to go: "198.51.100.66:443/tcp", "[2001:db8::1]:53/udp", "198.51.100.66 (icmp)".
func (d Denial) DestinationText() string {
	if d.Destination.Port() == 0 {
		return fmt.Sprintf("%s (%s)", d.Destination.Addr(), d.Protocol)
	}
	return HostPort(d.Destination) + "/" + d.Protocol
}

// HostPort is a destination as a person writes it; without the port where its protocol has none.
func HostPort(to netip.AddrPort) string {
	if to.Port() == 0 {
		return to.Addr().String()
	}
	return net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port())))
}

// Flow is a denial without its counts: what it is about.
func (d Denial) Flow() Denial {
	d.Packets, d.Bytes = 0, 0
	return d
}
