// Package egress keeps the promise inside one network namespace: who may leave it and who may be reached, as one nftables table
// that is replaced atomically. The identity of a process is the cgroup its sockets were created in; see ENFORCEMENT.md for why
// the rules are these and in this order.
//
// Behind the rules stands a fence on the members' cgroup (fence.go), which needs no rule and asks no second question.
//
// What is counted is counted by side (ambassador, members, the kernel, unknown) and by whether it passed. A counter for each
// container would need the number of its own cgroup in a rule, which is another one after every restart; what was refused is
// told apart by container and destination in sets that the rules fill themselves (denial.go).
//
// What bites: a rule holds the number of a cgroup, not its path. A cgroup removed and made again has another number, and until
// [Apply] runs again it is nobody: its packets are dropped. And nothing here may make the kernel track connections in the
// namespace, no nat chain and no ct expression, but where the members' TCP is led to the ambassador (intercept.go), and then theirs
// alone.
package egress

import (
	"fmt"
	"math"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/ruleset"
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
	Mode       Mode          // required
	Ambassador cgroup.Cgroup // required in mode ambassador
	Members    cgroup.Cgroup // required in mode ambassador
	Published  []Port        // what may be reached from outside: the ports the ambassador listens on
	Allow      []Endpoint    // where the ambassador may open flows to; empty: anywhere
	Intercept  uint16        // port of the ambassador's, on loopback, that the members' TCP to the outside is led to; 0: it is refused
	Quota      uint64        // bytes that the ambassador may exchange with the outside, both ways together; 0: any number
}

// A Port is a port of a transport protocol.
type Port struct {
	Protocol string // "tcp" or "udp"
	Port     uint16
}

// An Endpoint is a set of destinations.
type Endpoint = ruleset.Endpoint

func (p Policy) validate() error {
	switch p.Mode {
	case Sealed, Direct:
	case Ambassador:
		if p.Ambassador.ID == 0 || p.Members.ID == 0 {
			return fmt.Errorf("policy %q names no cgroups", p.Mode)
		}
		if p.Ambassador.Level != p.Members.Level {
			return fmt.Errorf("policy %q names cgroups at different depths", p.Mode)
		}
	default:
		return fmt.Errorf("unknown policy %q", p.Mode)
	}
	if p.Quota > math.MaxInt64 {
		return fmt.Errorf("quota of %d bytes is more than the kernel counts", p.Quota)
	}
	for _, x := range p.Published {
		if _, err := ruleset.Protocol(x.Protocol); err != nil {
			return fmt.Errorf("published port %d: %w", x.Port, err)
		}
	}
	for _, x := range p.Allow {
		if _, err := ruleset.Protocol(x.Protocol); err != nil {
			return fmt.Errorf("allow %s: %w", x.Prefix, err)
		}
	}
	return nil
}
