package egress

import (
	"cmp"
	"slices"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/ruleset"
)

// Names of the counters; [Counters] has their meaning.
const (
	ambassadorOut    = "ambassador_out"
	ambassadorDenied = "ambassador_denied"
	ambassadorIn     = "ambassador_in"
	quotaDenied      = "quota_denied"
	flowsFull        = "flows_full"
	membersOut       = "members_out"
	membersTCPDenied = "members_tcp_denied"
	membersDenied    = "members_other_denied"
	membersInDenied  = "members_in_denied"
	membersLed       = "members_led"
	kernelOut        = "kernel_out"
	kernelIn         = "kernel_in"
	unknownOutDenied = "unknown_out_denied"
	unknownInDenied  = "unknown_in_denied"
)

// Names of the sets and of the chains that rules jump to.
const (
	published        = "published"
	refuseMember     = "refuse_member"
	refuseAmbassador = "refuse_ambassador"
	record           = "record"
	ported           = "ported"
	denied4          = "denied4"
	denied6          = "denied6"
	inside           = "inside"
	ownerless        = "ownerless"
	door             = "door"
	newFlow          = "new_flow"
)

var allowed = ruleset.AllowSet{Port4: "allow_port4", Host4: "allow_host4", Port6: "allow_port6", Host6: "allow_host6"}

// createTable returns the table of a policy. Every policy has the same counters and sets. So a
// change of policy replaces rules, elements and chains only, and the counts stay.
func createTable(p Policy) ruleset.Table {
	t := ruleset.Table{
		Name: TableName,
		Counters: []string{ambassadorOut, ambassadorDenied, ambassadorIn, quotaDenied, flowsFull, membersOut, membersTCPDenied, membersDenied,
			membersInDenied, membersLed, kernelOut, kernelIn, unknownOutDenied, unknownInDenied},
		Sets: createSets(p),
		Chains: []ruleset.Chain{
			{Name: "output", Base: filter(nftables.ChainHookOutput), Rules: outputRules(p)},
			{Name: "input", Base: filter(nftables.ChainHookInput), Rules: inputRules(p)},
			// No packet is routed through a group. Without this chain, a namespace that inherited
			// ip_forward from the host would forward what a member sends into its loopback.
			{Name: "forward", Base: filter(nftables.ChainHookForward)},
			{Name: refuseMember, Rules: []ruleset.Rule{
				ruleset.NewRule("", ruleset.Jump(record)),
				ruleset.NewRule("no refusal to another's address", ruleset.FromElsewhere(), ruleset.Count(membersDenied), ruleset.Drop()),
				ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.Count(membersTCPDenied), ruleset.RejectTCP()),
				ruleset.NewRule("", ruleset.Count(membersDenied), ruleset.Reject()),
			}},
			{Name: refuseAmbassador, Rules: []ruleset.Rule{
				ruleset.NewRule("", ruleset.Jump(record)),
				ruleset.NewRule("", ruleset.Count(ambassadorDenied)),
				ruleset.NewRule("", ruleset.L4Proto(unix.IPPROTO_TCP), ruleset.RejectTCP()),
				ruleset.NewRule("", ruleset.Reject()),
			}},
			{Name: record, Rules: recordRules(p)},
			{Name: inside, Rules: insideRules()},
			{Name: ownerless, Rules: ownerlessRules()},
			{Name: door, Rules: doorRules(p)},
			{Name: newFlow, Rules: newFlowRules(p)},
		},
	}
	t.Chains = append(append(t.Chains, passChains(p)...), inboundChains(p)...)
	if p.pings() {
		t.Sets, t.Chains = append(t.Sets, echoSets()...), append(t.Chains, echoChain())
	}
	t.Quotas = quotas(p)
	if p.intercepts() {
		t.Chains = append(t.Chains, interceptChains(p)...)
	}
	t.From = sourceOf(p)
	return t
}

// A source is a policy without what only matters when its table is made.
type source Policy

func sourceOf(p Policy) source {
	p.Opened = nil
	return source(p)
}

// Table implements [ruleset.Source].
func (s source) Table() ruleset.Table { return createTable(Policy(s)) }

// sealed returns the table of a policy that lets nothing through. It is shared, and not to be
// changed.
var sealed = sync.OnceValue(func() ruleset.Table { return createTable(Policy{Mode: Sealed}) })

// insideRules judge packets that leave by the loopback. They have a chain of their own so that
// other packets skip them with one comparison.
func insideRules() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("opened before", ruleset.TCPFlags(ruleset.SYN, 0), ruleset.Accept()),
		ruleset.NewRule("another's address", ruleset.FromElsewhere(), ruleset.Count(unknownOutDenied), ruleset.Drop()),
		ruleset.NewRule("", ruleset.Accept()),
	}
}

// ownerlessRules accept packets without payload. They drop the kernel's answers to redirected
// flows, which carry the mark. Every policy has this rule: such an answer may be on its way when
// the next policy redirects nothing any more.
func ownerlessRules() []ruleset.Rule {
	return []ruleset.Rule{
		ruleset.NewRule("", ruleset.CarriesPayload(), ruleset.Count(unknownOutDenied), ruleset.Drop()),
		ruleset.NewRule("an answer on a flow that is no more", ruleset.Mark(ledMark), ruleset.Count(unknownOutDenied), ruleset.Drop()),
		ruleset.NewRule("", ruleset.Count(kernelOut), ruleset.Accept()),
	}
}

func filter(hook *nftables.ChainHook) *ruleset.Base {
	return &ruleset.Base{Type: nftables.ChainTypeFilter, Hook: hook, Priority: nftables.ChainPriorityFilter, Policy: nftables.ChainPolicyDrop}
}

// outputRules are rules 1 to 7 of the first table of RULES.md. Their comments have the numbers.
//
// A member may bind an address that is not its own (IPV6_FREEBIND needs no capability). The
// kernel's answers to its packets go to that address, so they would leave. So rule 3 drops such
// packets and does not refuse them. Rule 1 keeps them off the loopback, where the group's own
// address would answer. Rules 4 and 5 match only sources of our own. No connection can begin with
// another source, so rule 1 checks only packets that open one. It must not check all: the resets of
// rule 3 reach members by the loopback.
func outputRules(p Policy) []ruleset.Rule {
	loopback := ruleset.NewRule("1: inside the group", ruleset.ToLoopback(), ruleset.Accept())
	drop := ruleset.NewRule("7: everything else", ruleset.Count(unknownOutDenied), ruleset.Drop())
	switch p.Mode {
	case Direct:
		return append([]ruleset.Rule{loopback}, directOutput(p)...)
	case Ambassador:
	default:
		return []ruleset.Rule{loopback, drop}
	}
	pass := ruleset.NewRule("2: the ambassador", ruleset.Cgroup(p.Ambassador.Level, p.Ambassador.ID), ruleset.Goto(passOut))
	if p.Allow != nil {
		pass = ruleset.NewRule("2: the ambassador, where it may go", ruleset.Cgroup(p.Ambassador.Level, p.Ambassador.ID), ruleset.Goto(door))
	}
	rules := []ruleset.Rule{ruleset.NewRule("1: inside the group", ruleset.ToLoopback(), ruleset.Goto(inside)), pass}
	if p.intercepts() {
		rules = append(rules, ledRules(p)...)
	}
	return append(rules,
		ruleset.NewRule("3: members are refused at once", ruleset.Cgroup(p.Members.Level, p.Members.ID), ruleset.Goto(refuseMember)),
		ruleset.NewRule("4: handshake of the ambassador's listeners", ruleset.TCPFlags(ruleset.FIN|ruleset.SYN|ruleset.RST|ruleset.ACK, ruleset.SYN|ruleset.ACK),
			ruleset.In(published, ruleset.FieldL4Proto, ruleset.FieldSPort), ruleset.FromLocal(), ruleset.Count(kernelOut), ruleset.Accept()),
		ruleset.NewRule("5: last ACK and RST own no socket", ruleset.TCPFlags(ruleset.FIN|ruleset.SYN, 0), ruleset.FromLocal(), ruleset.Goto(ownerless)),
		ruleset.NewRule("6: neighbour discovery", ruleset.NeighbourDiscovery(), ruleset.Count(kernelOut), ruleset.Accept()),
		drop)
}

// directOutput lets every packet out. The first two rules only count, and remember whom the
// ambassador calls, for a later policy.
func directOutput(p Policy) (rules []ruleset.Rule) {
	if p.Ambassador.ID != 0 {
		rules = append(rules, ruleset.NewRule("2: the ambassador", ruleset.Cgroup(p.Ambassador.Level, p.Ambassador.ID), ruleset.Goto(passOut)))
	}
	if p.Members.ID != 0 {
		rules = append(rules, ruleset.NewRule("3: members may leave", ruleset.Cgroup(p.Members.Level, p.Members.ID), ruleset.Count(membersOut), ruleset.Accept()))
	}
	return append(rules, ruleset.NewRule("the kernel's own", ruleset.Count(kernelOut), ruleset.Accept()))
}

// inputRules are rules 1 to 6 of the second table of RULES.md, with one more before the
// ambassador's: no TCP connection may be opened to a port that is not published, whichever process
// listens there.
func inputRules(p Policy) []ruleset.Rule {
	loopback := ruleset.NewRule("1: inside the group", ruleset.FromLoopback(), ruleset.Accept())
	opens := ruleset.TCPFlags(ruleset.SYN|ruleset.ACK, ruleset.SYN)
	unpublished := ruleset.NewRule("2: only published ports", opens,
		ruleset.NotIn(published, ruleset.FieldL4Proto, ruleset.FieldDPort), ruleset.Goto(keepOut))
	switch p.Mode {
	case Direct:
		return []ruleset.Rule{loopback, unpublished, ruleset.NewRule("the kernel judges", ruleset.Count(kernelIn), ruleset.Accept())}
	case Ambassador:
	default:
		return []ruleset.Rule{loopback, ruleset.NewRule("6: everything else", ruleset.Count(unknownInDenied), ruleset.Drop())}
	}
	rules := []ruleset.Rule{
		loopback,
		unpublished,
		ruleset.NewRule("2: the ambassador", ruleset.Cgroup(p.Ambassador.Level, p.Ambassador.ID), ruleset.Goto(passIn)),
		ruleset.NewRule("3: members are not reached", ruleset.Cgroup(p.Members.Level, p.Members.ID), ruleset.Goto(keepFromMember)),
		ruleset.NewRule("4: ends of the ambassador's flows", ruleset.TCPFlags(ruleset.SYN, 0), ruleset.Count(kernelIn), ruleset.Accept()),
		// If a caller returns while its last connection is in TIME-WAIT, that is the socket found,
		// and it has no cgroup. Which listener will get the packet is not known yet. The fence
		// keeps it from a member's.
		ruleset.NewRule("a listener of nobody's", opens, ruleset.FullSocket(), ruleset.Goto(keepOut)),
		ruleset.NewRule("a caller returns", opens, ruleset.AnySocket(), ruleset.Count(kernelIn), ruleset.Accept()),
		ruleset.NewRule("5: neighbour discovery", ruleset.NeighbourDiscovery(), ruleset.Count(kernelIn), ruleset.Accept()),
	}
	rules = append(rules, icmpErrors()...)
	if p.pings() {
		rules = append(rules, echoReplies()...)
	}
	return append(rules, ruleset.NewRule("6: everything else", ruleset.Goto(keepOut)))
}

// icmpErrors accepts the ICMP errors that flows need: unreachable (including fragmentation needed),
// time exceeded, parameter problem, packet too big. An error about a member's flow does not get
// here: rule 3 finds the flow's socket.
func icmpErrors() []ruleset.Rule {
	const aSecond = 100
	return []ruleset.Rule{
		ruleset.NewRule("5: errors", ruleset.ICMPType(3, 3), ruleset.Limit(aSecond), ruleset.Count(kernelIn), ruleset.Accept()),
		ruleset.NewRule("5: errors", ruleset.ICMPType(11, 12), ruleset.Limit(aSecond), ruleset.Count(kernelIn), ruleset.Accept()),
		ruleset.NewRule("5: errors", ruleset.ICMPv6Type(1, 4), ruleset.Limit(aSecond), ruleset.Count(kernelIn), ruleset.Accept()),
	}
}

// doorRules judge the ambassador's packets if it has an allow list. Without connection tracking a
// reply is recognised by its source port, which is published, and by the absence of SYN. A UDP
// datagram from a published port passes to any destination. The host's side tracks connections, and
// stops it there if it is no reply.
func doorRules(p Policy) []ruleset.Rule {
	if !p.admits() {
		return nil
	}
	return []ruleset.Rule{
		ruleset.NewRule("a new connection", ruleset.TCPFlags(ruleset.SYN|ruleset.ACK, ruleset.SYN), ruleset.Goto(newFlow)),
		ruleset.NewRule("a reply", ruleset.In(published, ruleset.FieldL4Proto, ruleset.FieldSPort), ruleset.Goto(passOut)),
		ruleset.NewRule("", ruleset.Goto(newFlow)),
	}
}

func newFlowRules(p Policy) []ruleset.Rule {
	if !p.admits() {
		return nil
	}
	rules := allowed.Rules(nil, ruleset.Goto(passOut))
	return append(rules, ruleset.NewRule("", ruleset.Goto(refuseAmbassador)))
}

func createSets(p Policy) []ruleset.Set {
	ports := ruleset.NewSet(published, nftables.TypeInetProto, nftables.TypeInetService)
	for _, x := range slices.Compact(slices.SortedFunc(slices.Values(p.Published), comparePorts)) {
		proto, _ := ruleset.Protocol(x.Protocol) // checked by validate
		ports.Elements = append(ports.Elements, nftables.SetElement{Key: ruleset.Key([]byte{proto}, ruleset.Port(x.Port))})
	}
	sets := allowed.Sets()
	elements := allowed.Elements(p.Allow)
	for i := range sets {
		sets[i].Elements = elements[sets[i].Name]
	}
	sets = append(append([]ruleset.Set{ports}, sets...), denials.Sets()...)
	return append(append(sets, flowSets(p)...), inbound.Sets()...)
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}
