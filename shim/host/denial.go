package host

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// A Denial counts the packets of one container of a group that were denied on their way to one
// destination. The kernel keeps the count until none was denied there for an hour, or until the
// group's rules are created anew.
//
// An inbound denial counts the packets from one source outside that were dropped on their way to
// the group. It has no container, and its Destination is the group's own address.
type Denial struct {
	Container string `json:"container"` // empty: it was gone before it could be named
	// Source is of an inbound denial. An invalid one stands for all sources that are not counted
	// one by one.
	Source      netip.Addr     `json:"source,omitzero"`
	Protocol    string         `json:"protocol"` // "tcp", "udp", "icmp", "ipv6-icmp"; else the protocol's number
	Destination netip.AddrPort `json:"destination"`
	Packets     uint64         `json:"packets"`
	Bytes       uint64         `json:"bytes"`
}

// DoorCounts hold the counts of the kernel at the door of one group.
type DoorCounts struct {
	Denials     []Denial
	Inbound     []Denial
	Used, Quota uint64 // bytes that have passed the ambassador; a Quota of 0 means that it has none
	// Told means that the host reports when the counts change, but for those that it forgets. So
	// they need not be read before.
	Told bool
	// Expires is when the host forgets the first of the denials, if no packet follows. 0: never.
	Expires time.Duration
	// Err is fs.ErrNotExist for a group without rules. Any other error is why a part of the counts
	// could not be read: those that are here are right, and others may be missing.
	Err error
}

// DestinationText returns the packets' destination: "198.51.100.66:443/tcp",
// "[2001:db8::1]:53/udp", "198.51.100.66 (icmp)".
func (d Denial) DestinationText() string {
	if d.Destination.Port() == 0 {
		return fmt.Sprintf("%s (%s)", d.Destination.Addr(), d.Protocol)
	}
	return HostPort(d.Destination) + "/" + d.Protocol
}

// HostPort returns a destination as a person writes it. It has no port if the port is 0, as with a
// protocol that has none.
func HostPort(to netip.AddrPort) string {
	if to.Port() == 0 {
		return to.Addr().String()
	}
	return net.JoinHostPort(to.Addr().String(), strconv.Itoa(int(to.Port())))
}

// Flow returns the denial without its counts: the container, the source, the protocol and the
// destination.
func (d Denial) Flow() Denial {
	d.Packets, d.Bytes = 0, 0
	return d
}
