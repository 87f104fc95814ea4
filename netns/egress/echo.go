package egress

import (
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// An answer to an echo request belongs to no socket that a rule could ask for: the kernel finds
// ping sockets by their id, after the rules (ping_rcv). So the rules remember whom the ambassador
// has asked, as they do for UDP. An echo reply passes if it comes from an address in the set. It
// can only go to a ping socket of the ambassador: members have none (ping.go).
//
// Only the tables of groups whose ambassador may ping have these sets and rules.
const (
	echoes4 = "echoes4" // destination
	echoes6 = "echoes6"
	echo    = "echo"
)

// An answer passes until echoStands after the last request. Programs wait for some seconds.
const echoStands = 30 * time.Second

// Types of ICMP and ICMPv6 (RFC 792, RFC 4443).
const (
	echoRequest4 = 8
	echoReply4   = 0
	echoRequest6 = 128
	echoReply6   = 129
)

// pings reports whether the policy lets the ambassador ping.
func (p Policy) pings() bool { return p.Mode == Ambassador && p.Pings }

func echoSets() []ruleset.Set {
	return []ruleset.Set{
		ruleset.NewDynamicSet(echoes4, 0, echoStands, nftables.TypeIPAddr),
		ruleset.NewDynamicSet(echoes6, 0, echoStands, nftables.TypeIP6Addr),
	}
}

// judgeICMP returns the rules for what the ambassador sends by ICMP, once its destination is
// allowed.
func judgeICMP() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_ICMP), ruleset.Jump(echo)),
		ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_ICMPV6), ruleset.Jump(echo)),
	}
}

// echoChain enters the destination of an echo request. All else of ICMP is refused: the ping
// socket's extended requests (RFC 8335), and what a raw socket sends.
func echoChain() ruleset.Chain {
	request4, request6 := ruleset.ICMPType(echoRequest4, echoRequest4), ruleset.ICMPv6Type(echoRequest6, echoRequest6)
	return ruleset.Chain{Name: echo, Rules: []ruleset.Rule{
		ruleset.NewRule("", request4, ruleset.Remember(echoes4, 0, ruleset.FieldDest4), ruleset.Return()),
		ruleset.NewRule("", request6, ruleset.Remember(echoes6, 0, ruleset.FieldDest6), ruleset.Return()),
		ruleset.NewRule("no place is left", request4, ruleset.Count(flowsFull), ruleset.Reject()),
		ruleset.NewRule("no place is left", request6, ruleset.Count(flowsFull), ruleset.Reject()),
		ruleset.NewRule("no echo request", ruleset.Goto(refuseAmbassador)),
	}}
}

func echoReplies() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("5: the ambassador asked", ruleset.ICMPType(echoReply4, echoReply4), ruleset.In(echoes4, ruleset.FieldSource4), ruleset.Goto(passIn)),
		ruleset.NewRule("5: the ambassador asked", ruleset.ICMPv6Type(echoReply6, echoReply6), ruleset.In(echoes6, ruleset.FieldSource6), ruleset.Goto(passIn)),
	}
}
