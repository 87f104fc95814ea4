package egress

import (
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Nothing is tracked in the namespace. So the rules remember whom the ambassador calls by UDP: each
// datagram that it sends enters the other end and its own port into a set. What comes by UDP passes
// if it is for a published port or from an end in the set to that port. Answers from a published
// port are not entered, so callers can't fill the sets.
const (
	flows4   = "flows4" // destination . its port . the ambassador's port
	flows6   = "flows6"
	passOut  = "pass_out"
	passIn   = "pass_in"
	remember = "remember"
	expected = "expected"
)

// The sets hold at most [ruleset.DynamicSize] flows of each family, each until flowsStand after the
// ambassador's last datagram. A question to a name server has a port of its own and one answer: it
// stands as long as resolvers wait for that. While a set is full, a datagram that would begin
// another flow is refused at once and counted. If it passed, its answer would be lost without a
// word.
const (
	flowsStand     = 180 * time.Second
	questionStands = 10 * time.Second
	nameServer     = 53
)

// A Flow is UDP between the group and an end outside.
type Flow struct {
	Remote netip.AddrPort
	Port   uint16 // of the group
}

// flowSets returns the sets of flows. A new set begins with the policy's.
func flowSets(p Policy) []ruleset.Set {
	sets := []ruleset.Set{
		ruleset.NewDynamicSet(flows4, 0, flowsStand, nftables.TypeIPAddr, nftables.TypeInetService, nftables.TypeInetService),
		ruleset.NewDynamicSet(flows6, 0, flowsStand, nftables.TypeIP6Addr, nftables.TypeInetService, nftables.TypeInetService),
	}
	for _, f := range p.Opened[:min(len(p.Opened), ruleset.DynamicSize)] {
		set := &sets[1]
		if f.Remote.Addr().Is4() {
			set = &sets[0]
		}
		set.Elements = append(set.Elements, nftables.SetElement{Key: ruleset.Key(f.Remote.Addr().AsSlice(), ruleset.Port(f.Remote.Port()), ruleset.Port(f.Port))})
	}
	return sets
}

// admits reports whether the policy lets an ambassador out.
func (p Policy) admits() bool { return p.Mode != Sealed && p.Ambassador.ID != 0 }

// passChains judge what the ambassador may send and what may come for it, once the rules before
// have found nothing against it.
func passChains(p Policy) []ruleset.Chain {
	if !p.admits() {
		return nil
	}
	udp := ruleset.L4Proto(unix.IPPROTO_UDP)
	out := []ruleset.Rule{ruleset.NewRule("", udp, ruleset.Jump(remember)), ruleset.NewRule("", ruleset.Count(ambassadorOut), ruleset.Accept())}
	if p.pings() {
		out = slices.Concat(out[:1], judgeICMP(), out[1:])
	}
	in := []ruleset.Rule{ruleset.NewRule("", udp, ruleset.Jump(expected)), ruleset.NewRule("", ruleset.Count(ambassadorIn), ruleset.Accept())}
	chains := []ruleset.Chain{{Name: remember, Rules: rememberRules(p)}}
	if p.limited() {
		over := ruleset.Over(createQuota(p).Name)
		nearly := nearlyRules(p)
		out = slices.Concat([]ruleset.Rule{ruleset.NewRule("", over, ruleset.Goto(spent))}, nearly, out)
		in = slices.Concat(in[:1], []ruleset.Rule{ruleset.NewRule("", over, ruleset.Count(quotaDenied), ruleset.Drop())}, nearly, in[1:])
		chains = append(chains, ruleset.Chain{Name: spent, Rules: spentRules()})
	}
	if p.Mode == Ambassador {
		chains = append(chains, ruleset.Chain{Name: passIn, Rules: in}, ruleset.Chain{Name: expected, Rules: expectedRules()})
	}
	return append(chains, ruleset.Chain{Name: passOut, Rules: out})
}

// rememberRules enter a datagram's flow. With egress direct, a full set refuses nothing.
func rememberRules(p Policy) []ruleset.Rule {
	rules := []ruleset.Rule{ruleset.NewRule("an answer", ruleset.In(published, ruleset.FieldL4Proto, ruleset.FieldSPort), ruleset.Return())}
	for _, x := range []struct {
		family      byte
		set         string
		destination ruleset.Field
	}{{unix.NFPROTO_IPV4, flows4, ruleset.FieldDest4}, {unix.NFPROTO_IPV6, flows6, ruleset.FieldDest6}} {
		enter := func(d time.Duration) []ruleset.Expr {
			return ruleset.Remember(x.set, d, x.destination, ruleset.FieldDPort, ruleset.FieldSPort)
		}
		rules = append(rules,
			ruleset.NewRule("a question", ruleset.Family(x.family), ruleset.UDPTo(nameServer), enter(questionStands), ruleset.Return()),
			ruleset.NewRule("", ruleset.Family(x.family), enter(0), ruleset.Return()))
	}
	if p.Mode == Direct {
		return rules
	}
	return append(rules, ruleset.NewRule("no place is left", ruleset.Count(flowsFull), ruleset.Reject()))
}

// expectedRules drop a datagram that is neither for a published port nor of a flow in the sets.
func expectedRules() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("", ruleset.In(published, ruleset.FieldL4Proto, ruleset.FieldDPort), ruleset.Return()),
		ruleset.NewRule("", ruleset.Family(unix.NFPROTO_IPV4), ruleset.In(flows4, ruleset.FieldSource4, ruleset.FieldSPort, ruleset.FieldDPort), ruleset.Return()),
		ruleset.NewRule("", ruleset.Family(unix.NFPROTO_IPV6), ruleset.In(flows6, ruleset.FieldSource6, ruleset.FieldSPort, ruleset.FieldDPort), ruleset.Return()),
		ruleset.NewRule("", ruleset.Goto(keepOut)),
	}
}

// Remembers reports whether a namespace has the sets of flows. The first policy that makes them
// needs [Policy.Opened].
func Remembers(ns *os.File) (bool, error) {
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	return ruleset.HasSet(conn, TableName, flows4)
}
