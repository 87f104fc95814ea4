package shim

import "net/netip"

// A Denial is what one container of a group was refused on its way to one destination, added up for as long as the kernel
// remembers it: until nothing was refused there for an hour, or the group's rules were made anew.
type Denial struct {
	Container   string         `json:"container"` // empty: one that was gone before it could be named
	Protocol    string         `json:"protocol"`  // "tcp", "udp", "icmp", "ipv6-icmp"; else the protocol's number
	Destination netip.AddrPort `json:"destination"`
	Packets     uint64         `json:"packets"`
	Bytes       uint64         `json:"bytes"`
}
