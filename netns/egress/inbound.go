package egress

import (
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// The sets hold at most mostInbound sources and ports of each family, each until denialsStand after
// its last packet. They are other sets than those of [Denial]: who sends to the group can't hide
// what the group tries.
const mostInbound = 1024

var inbound = ruleset.Origins{Name: "inbound", Ported: ported, Size: mostInbound, Timeout: denialsStand}

const (
	keepOut        = "keep_out"
	keepFromMember = "keep_from_member"
	recordIn       = "record_in"
)

// inboundChains drop what the rules of the input refuse, and record it if it is for the group's own
// address. What is for a group of hosts, such as mDNS, is no one's attempt to reach the group.
//
// A sealed namespace has no such chains. [Denies] compares with its table: so a namespace of an
// older daemon denies too.
func inboundChains(p Policy) []ruleset.Chain {
	if p.Mode == Sealed {
		return nil
	}
	drop := func(counter string) []ruleset.Rule {
		return []ruleset.Rule{ruleset.NewRule("", ruleset.Jump(recordIn)), ruleset.NewRule("", ruleset.Count(counter), ruleset.Drop())}
	}
	chains := []ruleset.Chain{
		{Name: keepOut, Rules: drop(unknownInDenied)},
		{Name: recordIn, Rules: recordInRules(p)},
	}
	chains = append(chains, inbound.Chains(ruleset.FieldIIFName)...)
	if p.Mode == Ambassador {
		chains = append(chains, ruleset.Chain{Name: keepFromMember, Rules: drop(membersInDenied)})
	}
	return chains
}

func recordInRules(p Policy) []ruleset.Rule {
	answer := func(family byte, set string, source ruleset.Field) ruleset.Rule {
		return ruleset.NewRule("a late answer", ruleset.L4Proto(unix.IPPROTO_UDP), ruleset.Family(family),
			ruleset.In(set, source, ruleset.FieldSPort, ruleset.FieldDPort), ruleset.Return())
	}
	rules := []ruleset.Rule{
		ruleset.NewRule("not for the group alone", ruleset.NotToLocal(), ruleset.Return()),
		answer(unix.NFPROTO_IPV4, flows4, ruleset.FieldSource4), // its socket is closed
		answer(unix.NFPROTO_IPV6, flows6, ruleset.FieldSource6),
		ruleset.NewRule("", ruleset.Jump(ruleset.EnterOrigin)),
	}
	if p.Signals {
		rules = append(rules, ruleset.NewRule("", ruleset.Signal(refusedSignal))) // last, as in recordRules
	}
	return rules
}
