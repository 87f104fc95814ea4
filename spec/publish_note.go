package spec

import (
	"fmt"
	"net/netip"
)

// AddressNote returns a note if the port is published at an address that the host does not have, or
// "". has reports whether the host has an address.
func (p Publish) AddressNote(has func(netip.Addr) bool) string {
	addr, err := netip.ParseAddr(p.Address)
	if err != nil || has(addr) {
		return ""
	}
	return fmt.Sprintf("publish %q: this host has no address %s; the port is reached as soon as there is one", p.Name, p.Address)
}
