// Package egress keeps the promise inside one network namespace: who may leave it and who may be reached, as one nftables table
// that is replaced atomically. The identity of a process is the cgroup its sockets were created in; see ENFORCEMENT.md for why
// the rules are these and in this order.
//
// What bites: a rule holds the number of a cgroup, not its path. A cgroup removed and made again has another number, and until
// [Apply] runs again it is nobody: its packets are dropped. And nothing here may ever make the kernel track connections in the
// namespace: no nat chain, no ct expression.
package egress

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// TableName is the table in every group's namespace.
const TableName = "sallyport"

// A Mode says who may exchange packets with the world.
type Mode string

const (
	Sealed     Mode = "sealed"     // nobody; needs no cgroups
	Ambassador Mode = "ambassador" // the processes of one cgroup
	Direct     Mode = "direct"     // everybody
)

// A Policy is the wanted state of one namespace.
type Policy struct {
	Mode       Mode       // required
	Ambassador Cgroup     // required in mode ambassador
	Members    Cgroup     // required in mode ambassador
	Published  []Port     // what may be reached from outside: the ports the ambassador listens on
	Allow      []Endpoint // where the ambassador may open flows to; nil: anywhere
}

// A Port is a port of a transport protocol.
type Port struct {
	Protocol string // "tcp" or "udp"
	Port     uint16
}

// An Endpoint is a set of destinations.
type Endpoint struct {
	Prefix   netip.Prefix
	Protocol string // "tcp" or "udp"
	Port     uint16 // 0: any
}

func (p Policy) validate() error {
	switch p.Mode {
	case Sealed, Direct:
	case Ambassador:
		if p.Ambassador.ID == 0 || p.Members.ID == 0 {
			return fmt.Errorf("policy %q names no cgroups", p.Mode)
		}
	default:
		return fmt.Errorf("unknown policy %q", p.Mode)
	}
	for _, x := range p.Published {
		if _, err := protocolNumber(x.Protocol); err != nil {
			return fmt.Errorf("published port %d: %w", x.Port, err)
		}
	}
	for _, x := range p.Allow {
		if _, err := protocolNumber(x.Protocol); err != nil {
			return fmt.Errorf("allow %s: %w", x.Prefix, err)
		}
	}
	return nil
}

func protocolNumber(name string) (byte, error) {
	switch name {
	case "tcp":
		return 6, nil
	case "udp":
		return 17, nil
	}
	return 0, fmt.Errorf("protocol %q is neither tcp nor udp", name)
}

// sorted returns the endpoints without repetitions. The kernel refuses ranges of a set that overlap in part, so endpoints
// that another one covers are left out as well.
func sorted(in []Endpoint) []Endpoint {
	var out []Endpoint
	for _, e := range in {
		e.Prefix = e.Prefix.Masked()
		covered := slices.ContainsFunc(in, func(o Endpoint) bool { return o.covers(e) && !e.covers(o) })
		if !covered && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return out
}

func (e Endpoint) covers(o Endpoint) bool {
	return e.Protocol == o.Protocol && (e.Port == 0 || e.Port == o.Port) &&
		e.Prefix.Bits() <= o.Prefix.Bits() && e.Prefix.Contains(o.Prefix.Addr())
}
