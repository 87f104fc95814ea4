// Package egress keeps the promise inside one network namespace: who may leave it and who may be
// reached. It is one nftables table that is replaced atomically. The identity of a process is the
// cgroup in which its sockets were created. RULES.md has the reasons for the rules and their order.
//
// Behind the rules there is a fence on the members' cgroup (fence.go). It is independent of the
// rules. Where the ambassador may ping, another program there refuses ping sockets (ping.go). On
// kernels that can, programs on both cgroups separate abstract unix sockets
// (separate.go).
//
// Counters are by side (ambassador, members, the kernel, unknown) and by whether the packet passed.
// A counter for each container would need the number of its cgroup in a rule, and that changes with
// every restart. Refused packets are counted by container and destination in sets that the rules
// fill themselves (denial.go).
//
// Pitfall: a rule has the number of a cgroup, not its path. A cgroup removed and made again has
// another number. Until [Apply] runs again, its packets are dropped. And no rule here may make the
// kernel track connections in the namespace: no nat chain and no ct expression. The exception is
// interception (intercept.go), which tracks the members' TCP alone.
package egress

import (
	"fmt"
	"math"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// TableName is the table in every group's namespace.
const TableName = "sallyport"

// A Mode is who may exchange packets with the outside.
type Mode string

const (
	Sealed     Mode = "sealed"     // no process; needs no cgroups
	Ambassador Mode = "ambassador" // the processes of one cgroup
	Direct     Mode = "direct"     // every process
)

// A Policy is the wanted state of one namespace.
type Policy struct {
	Mode       Mode          // required
	Ambassador cgroup.Cgroup // required in mode ambassador
	Members    cgroup.Cgroup // required in mode ambassador
	Published  []Port        // ports of the ambassador that may be reached from outside
	Allow      []Endpoint    // where the ambassador may open flows to; nil: anywhere; empty: nowhere
	// Intercept is a port of the ambassador on loopback. The members' TCP to the outside is
	// redirected to it. 0 means refused.
	Intercept uint16
	// Pings lets the ambassador ask for echoes by ICMP, where it may go, and lets the answers in.
	// In the modes sealed and direct it changes nothing. [RefusePingSockets] belongs to it.
	Pings bool
	// Opened are flows that are open already. They are remembered if the namespace has no memory of
	// flows yet, as that of an older daemon. Otherwise they are ignored.
	Opened []Flow
	// Signals means that the kernel reports what the rules refuse, and the use of the quota: see
	// [refusedSignal]. It needs CONFIG_NFT_QUOTA, as [SelfTest] finds out.
	Signals bool
	Quota   uint64 // bytes that the ambassador may exchange with the outside, both ways together; 0: any number
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
		if _, err := x.Number(); err != nil {
			return fmt.Errorf("allow %s: %w", x.Prefix, err)
		}
	}
	return nil
}
