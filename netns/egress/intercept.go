package egress

import (
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// Where a policy intercepts, a TCP connection that a member opens to the outside is led to a port of the ambassador's on loopback,
// which asks the kernel for whom it was meant (SO_ORIGINAL_DST). That takes connection tracking, which the ambassador's own
// packets are kept out of.
//
//	member -> 192.0.2.1:443            leaves by eth0, as the routes have it
//	  track      (raw)                 a member's TCP: tracked; all else: not
//	  intercept  (nat)                 -> 127.0.0.1:PORT, and a new route, by lo
//	  output     (filter)              the outgoing interface is still eth0 here: ledRules judge it by its destination
//	  lead       (filter, postrouting) the outgoing interface is the new route's: lo, or it goes no further
//	127.0.0.1:PORT -> member           by lo, marked; the kernel puts 192.0.2.1:443 back on the way
//
// What the mark is for: a member's connection that is over lives on in the kernel for a while, and packets of the ambassador's
// that come for it are answered with an ACK or a reset that no socket owns, to 192.0.2.1:443. Nothing tells it from the last ACK of a
// connection of the ambassador's own (rule 5), so it would leave. But the kernel's answers carry the mark of what they answer
// ([netns.ReflectMarks]), so these are led back the same way, and those for which there is no way any more are dropped
// ([ownerlessRules]).
const (
	trackName       = "track"
	trackInsideName = "track_inside"
	trackInName     = "track_in"
	interceptName   = "intercept"
	leadName        = "lead"

	ledMark = 0x5a11
)

var loopbacks = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// intercepts says that the policy leads the members' TCP to the ambassador: where everybody may leave, or nobody, there is none to
// lead.
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
	// One that calls from the port is nobody's answer. Were it tracked, it would seem to come from 192.0.2.1:443, and a member that
	// listens on the port it was led from would answer there, with a SYN-ACK that owns no socket (rule 4, and past the fence).
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
		// What arrives on lo was judged when it left.
		{Name: trackInName, Base: base(nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw), Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.IIFName(netns.PeerName), ruleset.Untrack()),
		}},
		{Name: interceptName, Base: base(nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), Rules: append(nat,
			ruleset.NewRule("", ruleset.ToLoopback(), ruleset.Accept()),
			ruleset.NewRule("members", tcp, member, ruleset.Redirect(p.Intercept)),
			ruleset.NewRule("the kernel's answers for members", tcp, ruleset.Mark(ledMark), ruleset.Redirect(p.Intercept)),
		)},
		// A socket bound to eth0 takes 127.0.0.1 and ::1 for addresses out there.
		{Name: leadName, Base: base(nftables.ChainTypeFilter, nftables.ChainHookPostrouting, nftables.ChainPriorityFilter), Rules: []ruleset.Rule{
			ruleset.NewRule("", ruleset.CTDestinationNAT(), ruleset.NotOIFName("lo"), ruleset.Count(membersTCPDenied), ruleset.Drop()),
		}},
	}
}

// ledRules accept what was led to the ambassador: rewritten by the rule above, to its port on loopback. One with an address that
// is not the group's own is refused as if nothing were led: what answers it would leave. They ask for no cgroup; none but
// members' flows are ever rewritten.
func ledRules(p Policy) []ruleset.Rule {
	var rules []ruleset.Rule
	for _, a := range loopbacks {
		rules = append(rules, ruleset.NewRule("led to the ambassador", ruleset.CTDestinationNAT(), ruleset.DestIn(netip.PrefixFrom(a, a.BitLen())),
			ruleset.DestPort(p.Intercept), ruleset.FromLocal(), ruleset.Count(membersLed), ruleset.Accept()))
	}
	return rules
}
