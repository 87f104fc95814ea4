package egress_test

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnsbench"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A bench has two pairs of namespaces to compare.
type bench struct {
	*testing.B
	hierarchies cgroup.Hierarchies
	pairs       [2]*pair
}

// A pair is a group's namespace joined to one outside, with the cgroups of the group's two sides.
type pair struct {
	*bench
	group, outside      *os.File
	ambassador, members string
	policy              egress.Policy
}

// Addresses of the link between the two.
var (
	group4, group6     = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	outside4, outside6 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
)

func newBench(b *testing.B) *bench {
	b.Helper()
	netnstest.Root(b)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		b.Fatal(err)
	}
	x := &bench{B: b, hierarchies: h}
	b.Cleanup(func() {
		if err := h.Remove(netnstest.CgroupRoot()); err != nil {
			b.Error(err)
		}
	})
	for i := range x.pairs {
		x.pairs[i] = x.newPair(path.Join(netnstest.CgroupRoot(), fmt.Sprint("g", i)))
	}
	return x
}

func (b *bench) newPair(cgroup string) *pair {
	b.Helper()
	p := &pair{bench: b, group: netnstest.NewNamespace(b), outside: netnstest.NewNamespace(b),
		ambassador: path.Join(cgroup, "ambassador"), members: path.Join(cgroup, "members")}
	p.policy = egress.Policy{Mode: egress.Ambassador, Ambassador: b.cgroup(p.ambassador), Members: b.cgroup(p.members), Signals: true}
	for i := range netnsbench.LoadPorts {
		p.policy.Published = append(p.policy.Published, egress.Port{Protocol: "tcp", Port: uint16(netnsbench.LoadPort + i)})
	}
	netnstest.Join(b,
		netnstest.End{NS: p.group, Name: "eth0", Addrs: []string{group4.String() + "/24", group6.String() + "/64"}},
		netnstest.End{NS: p.outside, Name: "group", Addrs: []string{outside4.String() + "/24", outside6.String() + "/64"}})
	return p
}

func (b *bench) cgroup(path string) cgroup.Cgroup {
	b.Helper()
	c, err := b.hierarchies.Make(path)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// do returns a function that does all steps, to prepare a pair.
func (b *bench) do(steps ...func() error) func() {
	return func() {
		b.Helper()
		for _, step := range steps {
			if err := step(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func (p *pair) apply() error   { _, err := egress.Apply(p.group, p.policy); return err }
func (p *pair) remove() error  { return egress.Remove(p.group) }
func (p *pair) fence() error   { return egress.Fence(p.hierarchies, p.members, nil) }
func (p *pair) unfence() error { return egress.Unfence(p.hierarchies, p.members) }

func (p *pair) bare() func()  { return p.do(p.remove, p.unfence) }
func (p *pair) ruled() func() { return p.do(p.apply, p.fence) }

// compare measures from every pair's client to the other end. Each arm has one pair first and the
// other pair later.
func (b *bench) compare(to netip.Addr, clients [2]*netnsbench.Load, names [2]string, ways ...func(*pair) func()) {
	b.Helper()
	on := func(i int, way func(*pair) func()) netnsbench.Setup {
		return netnsbench.Setup{Client: clients[i], To: to, Prepare: way(b.pairs[i])}
	}
	netnsbench.Compare(b.B, netnsbench.Path,
		netnsbench.Arm{Name: names[0], Setups: []netnsbench.Setup{on(0, ways[0]), on(1, ways[0])}},
		netnsbench.Arm{Name: names[1], Setups: []netnsbench.Setup{on(1, ways[1]), on(0, ways[1])}})
}

// loads starts a client and a server in each pair.
func (b *bench) loads(client, server func(*pair) *netnsbench.Load) (clients [2]*netnsbench.Load) {
	b.Helper()
	for i, p := range b.pairs {
		clients[i] = client(p)
		server(p).Serve()
	}
	return clients
}

// placements are the processors of the end that serves: together with the caller on one, where
// every nanosecond counts, or apart on another one, as in practice.
var placements = map[string]int{"together": runtime.NumCPU() - 1, "apart": 0}

// BenchmarkRootNamespace measures the cost of a group's rules for its ambassador, compared with the
// same link without rules: on connections from it and on connections to its published ports.
func BenchmarkRootNamespace(b *testing.B) {
	names := [2]string{"bare", "rules"}
	for name, cpu := range placements {
		b.Run(name+"/out", func(b *testing.B) {
			x := newBench(b)
			x.compare(outside4, x.loads(
				(*pair).ambassadorLoad,
				func(p *pair) *netnsbench.Load { return netnsbench.NewLoadOn(p, cpu, p.outside, "") },
			), names, (*pair).bare, (*pair).ruled)
		})
		b.Run(name+"/in", func(b *testing.B) {
			x := newBench(b)
			x.compare(group4, x.loads(
				(*pair).outsideLoad,
				func(p *pair) *netnsbench.Load { return netnsbench.NewLoadOn(p, cpu, p.group, p.ambassador) },
			), names, (*pair).bare, (*pair).ruled)
		})
	}
}

// BenchmarkRootLoopback measures the cost of rules and fence for a member's connections to its
// ambassador, compared with a namespace without them.
func BenchmarkRootLoopback(b *testing.B) {
	for name, cpu := range placements {
		b.Run(name, func(b *testing.B) {
			x := newBench(b)
			x.compare(netip.MustParseAddr("127.0.0.1"), x.loads(
				(*pair).memberLoad,
				func(p *pair) *netnsbench.Load { return netnsbench.NewLoadOn(p, cpu, p.group, p.ambassador) },
			), [2]string{"bare", "rules"}, (*pair).bare, (*pair).ruled)
		})
	}
}

// BenchmarkRootShare measures the same cost with perf: the share of a processor's time in rules and
// fence. Client and server run on that processor.
func BenchmarkRootShare(b *testing.B) {
	for name, way := range map[string]struct {
		to             netip.Addr
		client, server func(*pair) *netnsbench.Load
	}{
		"out":      {outside4, (*pair).ambassadorLoad, (*pair).outsideLoad},
		"in":       {group4, (*pair).outsideLoad, (*pair).ambassadorLoad},
		"loopback": {netip.MustParseAddr("127.0.0.1"), (*pair).memberLoad, (*pair).ambassadorLoad},
	} {
		b.Run(name, func(b *testing.B) {
			p := newBench(b).pairs[0]
			p.ruled()()
			client := way.client(p)
			way.server(p).Serve()
			netnsbench.Share(b, netnsbench.Path, client, way.to)
		})
	}
}

func (p *pair) ambassadorLoad() *netnsbench.Load { return netnsbench.NewLoad(p, p.group, p.ambassador) }
func (p *pair) memberLoad() *netnsbench.Load     { return netnsbench.NewLoad(p, p.group, p.members) }
func (p *pair) outsideLoad() *netnsbench.Load    { return netnsbench.NewLoad(p, p.outside, "") }

// plainRedirect sends a member's connections to a proxy, and does nothing else.
const plainRedirect = `
table ip plain {
	chain output {
		type nat hook output priority -100;
		oifname "eth0" meta l4proto tcp redirect to :7000
	}
}
`

// BenchmarkRootIntercept measures the cost of a member's connection that is redirected to its
// ambassador, compared with a plain redirect to the same proxy.
func BenchmarkRootIntercept(b *testing.B) {
	x := newBench(b)
	clients := x.loads((*pair).memberLoad, (*pair).ambassadorLoad)
	for _, p := range x.pairs {
		p.policy.Intercept = netnsbench.LoadPort
	}
	x.compare(outside4, clients, [2]string{"redirect", "intercept"}, (*pair).redirected, func(p *pair) func() { return p.do(p.flush, p.apply, p.fence) })
}

func (p *pair) flush() error { netnstest.NFT(p, p.group, "", "flush", "ruleset"); return nil }

func (p *pair) redirected() func() {
	redirect := func() error { netnstest.NFT(p, p.group, plainRedirect, "-f", "-"); return nil }
	return p.do(p.flush, redirect, p.unfence)
}

// BenchmarkRootRefused measures how long a member waits for its refusal. For comparison it measures
// how long the ambassador waits for a datagram to leave.
func BenchmarkRootRefused(b *testing.B) {
	x := newBench(b).pairs[0]
	x.ruled()()
	ambassador, member := x.ambassadorLoad(), x.memberLoad()
	for name, to := range map[string]netip.Addr{"IPv4": outside4, "IPv6": outside6} {
		b.Run(name, func(b *testing.B) {
			on := func(name string, client *netnsbench.Load) netnsbench.Arm {
				return netnsbench.Arm{Name: name, Setups: []netnsbench.Setup{{Client: client, To: to}}}
			}
			netnsbench.Compare(b, []netnsbench.Quantity{netnsbench.RefusedConnect, netnsbench.RefusedSend}, on("member", member))
			netnsbench.Compare(b, []netnsbench.Quantity{netnsbench.PassedSend}, on("ambassador", ambassador))
		})
	}
}
