package egress

import (
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// If a policy intercepts, a TCP connection from a member to the outside is redirected to a port of
// the ambassador on loopback. The ambassador asks the kernel for the original destination
// (SO_ORIGINAL_DST). This needs connection tracking. The ambassador's own packets are exempt from
// it.
//
//	member -> 192.0.2.1:443            leaves by eth0, by the routes
//	  track      (raw)                 a member's TCP: tracked; all else: not
//	  intercept  (nat)                 -> 127.0.0.1:PORT, and a new route, by lo
//	  output     (filter)              still eth0: ledRules match the destination
//	  lead       (filter, postrouting) the new route's interface: dropped if not lo
//	127.0.0.1:PORT -> member           by lo, marked; the kernel restores 192.0.2.1:443 on the way
//
// The mark is for the kernel's answers. A closed connection of a member stays in the kernel for a
// while. If the ambassador sends a packet on it, the kernel answers with an ACK or a reset that has
// no socket, to 192.0.2.1:443. It looks like the last ACK of a connection of the ambassador (rule
// 5), so it would leave. But the kernel's answers carry the mark of the packet they answer
// ([netns.ReflectMarks]). So they are redirected in the same way, and dropped if there is no such
// flow any more ([ownerlessRules]).
const (
	trackName       = "track"
	trackInsideName = "track_inside"
	trackInName     = "track_in"
	interceptName   = "intercept"
	leadName        = "lead"

	ledMark = 0x5a11
)

var loopbacks = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// intercepts reports whether the policy redirects the members' TCP to the ambassador. The modes
// sealed and direct never do.
func (p Policy) intercepts() bool { return p.Mode == Ambassador && p.Intercept != 0 }

func interceptChains(p Policy) []ruleset.Chain {
	base := func(t nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *ruleset.Base {
		return &ruleset.Base{Type: t, Hook: hook, Priority: prio, Policy: nftables.ChainPolicyAccept}
	}
	member := ruleset.Cgroup(p.Members.Level, p.Members.ID)
	tcp := ruleset.L4Proto(unix.IPPROTO_TCP)
	var inside, nat []ruleset.Rule
	for _, p := range []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")} {
		inside = append(inside, ruleset.NewRule("said on loopback from the first", ruleset.DestIn(p), ruleset.Untrack(), ruleset.Accept()))
		nat = append(nat, ruleset.NewRule("a loopback address is not led", ruleset.SourceIn(p), ruleset.Accept()))
	}
	// A SYN from the port is no answer. If it were tracked, its source would become 192.0.2.1:443.
	// A member that listens on the port of a redirected connection would answer to there, with a
	// SYN-ACK without a socket (rule 4), which the fence does not see.
	inside = append(inside, ruleset.NewRule("who calls is called by nobody else's name", ruleset.TCPFlags(ruleset.SYN|ruleset.ACK, ruleset.SYN), ruleset.Untrack(), ruleset.Accept()))
	for _, a := range loopbacks {
		inside = append(inside, ruleset.NewRule("the ambassador to members it was led", ruleset.SourceIn(netip.PrefixFrom(a, a.BitLen())), ruleset.SourcePort(p.Intercept),
			ruleset.SetMark(ledMark), ruleset.Accept()))
	}
	return []ruleset.Chain{
		{Name: trackName, Base: base(nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw), Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.ToLoopback(), ruleset.Goto(trackInsideName)),
			ruleset.NewRule("members", tcp, member, ruleset.Accept()),
			ruleset.NewRule("the kernel's answers for members", tcp, ruleset.Mark(ledMark), ruleset.Accept()),
			ruleset.NewRule("", ruleset.Untrack()),
		}},
		{Name: trackInsideName, Rules: append(inside, ruleset.NewRule("", ruleset.Untrack()))},
		// Packets that arrive by lo were judged when they left.
		{Name: trackInName, Base: base(nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw), Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.IIFName(netns.PeerName), ruleset.Untrack()),
		}},
		{Name: interceptName, Base: base(nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), Rules: append(nat,
			ruleset.NewRule("", ruleset.ToLoopback(), ruleset.Accept()),
			ruleset.NewRule("members", tcp, member, ruleset.Redirect(p.Intercept)),
			ruleset.NewRule("the kernel's answers for members", tcp, ruleset.Mark(ledMark), ruleset.Redirect(p.Intercept)),
		)},
		// Packets of a socket bound to eth0 leave by eth0, even to 127.0.0.1 and ::1.
		{Name: leadName, Base: base(nftables.ChainTypeFilter, nftables.ChainHookPostrouting, nftables.ChainPriorityFilter), Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.CTDestinationNAT(), ruleset.NotOIFName("lo"), ruleset.Count(membersTCPDenied), ruleset.Drop()),
		}},
	}
}

// ledRules accept redirected packets: those that a rule above sent to the ambassador's port on
// loopback. A packet whose source is not the group's own address is refused as without
// interception, because the answer to it would leave. The rules match no cgroup: only flows of
// members are rewritten.
func ledRules(p Policy) []ruleset.Rule {
	var rules []ruleset.Rule
	for _, a := range loopbacks {
		rules = append(rules, ruleset.NewRule("led to the ambassador", ruleset.CTDestinationNAT(), ruleset.DestIn(netip.PrefixFrom(a, a.BitLen())),
			ruleset.DestPort(p.Intercept), ruleset.FromLocal(), ruleset.Count(membersLed), ruleset.Accept()))
	}
	return rules
}
