package uplink

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// Names of the sets and maps that entries are elements of.
const (
	links          = "links"      // every link of ours
	restricted     = "restricted" // links with an allow list
	source4        = "source4"    // link . the group's address
	source6        = "source6"
	publish4       = "publish4" // protocol . port -> group's address . port
	publish6       = "publish6"
	publishAt4     = "publish_at4" // host's address . protocol . port -> group's address . port
	publishAt6     = "publish_at6"
	refused4       = "refused4" // link . protocol . destination . port
	refused6       = "refused6"
	ported         = "ported" // protocols that have ports
	refuse         = "refuse"
	listed         = "listed"
	ownSource      = "own_source"
	chainRefused   = "refused"
	chainSpoofed   = "spoofed"
	chainStray     = "stray"
	chainUninvited = "uninvited"
)

var allowed = ruleset.AllowSet{Port4: "allow_port4", Host4: "allow_host4", Port6: "allow_port6", Host6: "allow_host6"}

// createTable returns the whole table without the elements.
//
// Packets from a group are judged before their destination may be rewritten. So the allow list, and
// the rules that keep the group from the host, see the address that the ambassador asked for.
// Packets to a group are judged at the end of their path, which forwarded packets share with those
// of the host's own processes.
//
// A newer daemon adds sets, chains and rules in place. What changes the kind of a set that there
// is, or the hook of a chain, makes the table anew, without what its sets have counted.
func createTable(c Config, strangers Strangers) ruleset.Table {
	base := func(t nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) *ruleset.Base {
		return &ruleset.Base{Type: t, Hook: hook, Priority: prio, Policy: nftables.ChainPolicyAccept}
	}
	t := ruleset.Table{
		Name:     c.Table,
		Counters: []string{chainRefused, chainSpoofed, chainStray, chainUninvited},
		Sets:     createSets(),
		Chains: append([]ruleset.Chain{
			{Name: "loopback", Base: base(nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw), Rules: loopbackRules()},
			{Name: "from_groups", Base: base(nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityMangle), Rules: fromGroups()},
			{Name: ownSource, Rules: ownSourceRules(c)},
			{Name: "to_groups", Base: base(nftables.ChainTypeFilter, nftables.ChainHookPostrouting, nftables.ChainPriorityFilter), Rules: toGroups()},
			{Name: "publish", Base: base(nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest), Rules: publishRules()},
			{Name: "publish_here", Base: base(nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest), Rules: publishHereRules()},
			{Name: "masquerading", Base: base(nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource), Rules: masqueradeRules(c)},
			{Name: listed, Rules: append(allowed.Rules([]ruleset.Field{ruleset.FieldIIFName}, ruleset.Accept()), ruleset.NewRule("", ruleset.Goto(refuse)))},
			{Name: refuse, Rules: refuseRules(c)},
		}, strangers.chains(base(nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter))...),
	}
	t.Chains = append(t.Chains, inboundChains(c)...)
	if c.Signals {
		t.Quotas = []ruleset.Quota{ruleset.SignalQuota(RefusedSignal)}
	}
	return t
}

// prefixes returns all that the groups' addresses are out of. Prefix6 may be invalid.
func (c Config) prefixes() []netip.Prefix {
	return append([]netip.Prefix{c.Prefix4, c.Prefix6}, c.Earlier...)
}

func createSets() []ruleset.Set {
	ifname, addr4, addr6 := nftables.TypeIFName, nftables.TypeIPAddr, nftables.TypeIP6Addr
	proto, port := nftables.TypeInetProto, nftables.TypeInetService
	type fields = []nftables.SetDatatype
	sets := []ruleset.Set{
		ruleset.NewSet(links, ifname),
		ruleset.NewSet(restricted, ifname),
		ruleset.NewSet(source4, ifname, addr4),
		ruleset.NewSet(source6, ifname, addr6),
		ruleset.NewMap(publish4, fields{proto, port}, fields{addr4, port}),
		ruleset.NewMap(publish6, fields{proto, port}, fields{addr6, port}),
		ruleset.NewMap(publishAt4, fields{addr4, proto, port}, fields{addr4, port}),
		ruleset.NewMap(publishAt6, fields{addr6, proto, port}, fields{addr6, port}),
	}
	sets = append(sets, allowed.Sets(ifname)...)
	for i := range sets {
		sets[i].Open = true
	}
	return slices.Concat(sets, refusals.Sets(), inbound.Sets())
}

// Addresses that never leave a host (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3).
var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)

// solicitedNodes are the multicast addresses that neighbour solicitations go to (RFC 4291, section
// 2.7.1). Their scope is one link, so the host does not forward them.
var solicitedNodes = netip.MustParsePrefix("ff02::1:ff00:0/104")

// loopbackRules drop a packet with a loopback address, unless the host has sent it itself. Packets
// that stay in a VRF come by its device, and not by lo. The kernel drops what came by a link as
// martian, but IPv4's only after prerouting, where a rewritten destination hides it.
//
// Every packet of the host takes this path, so it leaves with the first rule or the second.
func loopbackRules() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("", ruleset.NeitherIn(loopback4), ruleset.Accept()),
		ruleset.NewRule("", ruleset.NeitherIn(loopback6), ruleset.Accept()),
		ruleset.NewRule("", ruleset.FromLoopback(), ruleset.Accept()),
		ruleset.NewRule("the loopback of a VRF", ruleset.IIFKind("vrf"), ruleset.Accept()),
		ruleset.NewRule("", ruleset.Count(chainStray), ruleset.Drop()),
	}
}

// fromGroups ask whose a packet is. The name of every link of ours begins with [netns.LinkPrefix],
// and so may those of another daemon. A group's packet is looked up once, by link and source. So
// what no rule knows is dropped.
func fromGroups() []ruleset.Rule {
	v4, v6 := ruleset.Family(unix.NFPROTO_IPV4), ruleset.Family(unix.NFPROTO_IPV6)
	return []ruleset.Rule{
		ruleset.NewRule("not from a group", ruleset.NotIIFPrefix(netns.LinkPrefix), ruleset.Accept()),
		ruleset.NewRule("", v4, ruleset.In(source4, ruleset.FieldIIFName, ruleset.FieldSource4), ruleset.Goto(ownSource)),
		ruleset.NewRule("", v6, ruleset.In(source6, ruleset.FieldIIFName, ruleset.FieldSource6), ruleset.Goto(ownSource)),
		ruleset.NewRule("from a group of another daemon", ruleset.NotIn(links, ruleset.FieldIIFName), ruleset.Accept()),
		ruleset.NewRule("another's address", ruleset.Count(chainSpoofed), ruleset.Drop()),
	}
}

// ownSourceRules judge what a group sends from its own address. Replies are most packets, so they
// come first.
func ownSourceRules(c Config) []ruleset.Rule {
	rules := []ruleset.Rule{
		ruleset.NewRule("replies", ruleset.CTState(ruleset.Established|ruleset.Related), ruleset.Accept()),
		// Connection tracking ignores these. The host forwards none of what passes here.
		ruleset.NewRule("to the host", ruleset.NeighbourDiscovery(), ruleset.ToLocal(), ruleset.Accept()),
		ruleset.NewRule("to the link", ruleset.NeighbourDiscovery(), ruleset.DestIn(solicitedNodes), ruleset.Accept()),
		ruleset.NewRule("of no flow, and opens none", ruleset.CTState(ruleset.Invalid|ruleset.Untracked), ruleset.Count(chainStray), ruleset.Drop()),
		// Connection tracking takes such a packet for the first of a flow, so a connection that was
		// published once would go on as one that the group opened.
		ruleset.NewRule("of no connection", ruleset.OpensNoTCP(), ruleset.Count(chainStray), ruleset.RejectTCP()),
		ruleset.NewRule("has an allow list", ruleset.In(restricted, ruleset.FieldIIFName), ruleset.Goto(listed)),
	}
	for _, p := range slices.Concat(c.Reserved, c.prefixes()) {
		if p.IsValid() {
			rules = append(rules, ruleset.NewRule("", ruleset.DestIn(p), ruleset.Goto(refuse)))
		}
	}
	// A lookup of a route is expensive, so the most frequent result comes first.
	return append(rules,
		ruleset.NewRule("outside", ruleset.ToUnicast(), ruleset.Accept()), // most packets
		ruleset.NewRule("the host itself", ruleset.ToLocal(), ruleset.Goto(refuse)),
		ruleset.NewRule("the host itself", ruleset.ToAnycast(), ruleset.Goto(refuse)),
		ruleset.NewRule("", ruleset.ToBroadcast(), ruleset.Goto(refuse)),
		ruleset.NewRule("", ruleset.ToMulticast(), ruleset.Goto(refuse)))
}

func toGroups() []ruleset.Rule {
	rules := []ruleset.Rule{
		// This comes first: the flow's link need not be looked up.
		ruleset.NewRule("of flows judged before", ruleset.CTState(ruleset.Established|ruleset.Related), ruleset.Accept()),
		ruleset.NewRule("not to a group", ruleset.NotIn(links, ruleset.FieldOIFName), ruleset.Accept()),
		ruleset.NewRule("published", ruleset.CTDestinationNAT(), ruleset.Accept()),
		ruleset.NewRule("", ruleset.NeighbourDiscovery(), ruleset.Accept()),
	}
	for _, match := range [][]ruleset.Expr{ruleset.ICMPType(3, 3), ruleset.ICMPType(11, 12), ruleset.ICMPv6Type(1, 4)} {
		rules = append(rules, ruleset.NewRule("errors about flows that were refused", match, ruleset.Accept()))
	}
	return append(rules, ruleset.NewRule("", ruleset.Goto(chainKeepOut)))
}

// publishRules send published ports to their groups. They never rewrite a loopback address: a
// packet that comes here with one has not been sent by the host to itself. See [loopbackRules].
func publishRules() []ruleset.Rule {
	return append([]ruleset.Rule{staysOnLoopback(loopback4), staysOnLoopback(loopback6)}, toPublished()...)
}

// publishHereRules are the same for packets of the host's own processes, which may call 127.0.0.1.
// They leave ::1 alone. The kernel drops replies to ::1 that arrive on a link, so with DNAT callers
// would time out. Without it they get a refusal and fall back to 127.0.0.1.
func publishHereRules() []ruleset.Rule {
	return append([]ruleset.Rule{staysOnLoopback(loopback6)}, toPublished()...)
}

func staysOnLoopback(p netip.Prefix) ruleset.Rule {
	return ruleset.NewRule("stays on the loopback", ruleset.DestIn(p), ruleset.Accept())
}

// toPublished rewrites what comes for a published port. A port at one address of the host comes
// before a port at all addresses.
func toPublished() []ruleset.Rule {
	rule := func(family byte, to string, fields ...ruleset.Field) ruleset.Rule {
		return ruleset.NewRule("", ruleset.Family(family), ruleset.DestinationNAT(family, to, fields...))
	}
	return []ruleset.Rule{
		ruleset.NewRule("not to the host", ruleset.NotToLocal(), ruleset.Accept()),
		rule(unix.NFPROTO_IPV4, publishAt4, ruleset.FieldDest4, ruleset.FieldL4Proto, ruleset.FieldDPort),
		rule(unix.NFPROTO_IPV4, publish4, ruleset.FieldL4Proto, ruleset.FieldDPort),
		rule(unix.NFPROTO_IPV6, publishAt6, ruleset.FieldDest6, ruleset.FieldL4Proto, ruleset.FieldDPort),
		rule(unix.NFPROTO_IPV6, publish6, ruleset.FieldL4Proto, ruleset.FieldDPort),
	}
}

// masqueradeRules give the packets of groups the host's address on their way out. They also give
// packets from the host's own loopback to a published port an address that the group can answer.
func masqueradeRules(c Config) []ruleset.Rule {
	var rules []ruleset.Rule
	for _, p := range c.prefixes() {
		if p.IsValid() {
			rules = append(rules, ruleset.NewRule("", ruleset.SourceIn(p), ruleset.NotIn(links, ruleset.FieldOIFName), ruleset.Masquerade()))
		}
	}
	return append(rules, ruleset.NewRule("", ruleset.SourceIn(loopback4), ruleset.In(links, ruleset.FieldOIFName), ruleset.Masquerade()))
}
