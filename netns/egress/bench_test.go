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

// A bench is two groups' namespaces, each joined to one outside: the lanes of a comparison.
type bench struct {
	*testing.B
	hierarchies cgroup.Hierarchies
	lanes       [2]*lane
}

// A lane is a group's namespace joined to one outside, and the cgroups of its two sides.
type lane struct {
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
	for i := range x.lanes {
		x.lanes[i] = x.newLane(path.Join(netnstest.CgroupRoot(), fmt.Sprint("g", i)))
	}
	return x
}

func (b *bench) newLane(cgroup string) *lane {
	b.Helper()
	l := &lane{bench: b, group: netnstest.NewNamespace(b), outside: netnstest.NewNamespace(b),
		ambassador: path.Join(cgroup, "ambassador"), members: path.Join(cgroup, "members")}
	l.policy = egress.Policy{Mode: egress.Ambassador, Ambassador: b.cgroup(l.ambassador), Members: b.cgroup(l.members)}
	for i := range netnsbench.LoadPorts {
		l.policy.Published = append(l.policy.Published, egress.Port{Protocol: "tcp", Port: uint16(netnsbench.LoadPort + i)})
	}
	netnstest.Join(b,
		netnstest.End{NS: l.group, Name: "eth0", Addrs: []string{group4.String() + "/24", group6.String() + "/64"}},
		netnstest.End{NS: l.outside, Name: "group", Addrs: []string{outside4.String() + "/24", outside6.String() + "/64"}})
	return l
}

func (b *bench) cgroup(path string) cgroup.Cgroup {
	b.Helper()
	c, err := b.hierarchies.Make(path)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// do returns a function that does all of these, to prepare a lane.
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

func (l *lane) apply() error   { _, err := egress.Apply(l.group, l.policy); return err }
func (l *lane) remove() error  { return egress.Remove(l.group) }
func (l *lane) fence() error   { return egress.Fence(l.hierarchies, l.members) }
func (l *lane) unfence() error { return egress.Unfence(l.hierarchies, l.members) }

func (l *lane) bare() func()  { return l.do(l.remove, l.unfence) }
func (l *lane) ruled() func() { return l.do(l.apply, l.fence) }

// compare has every lane's client ask the other end, one lane by one arm's way and the other by the other's, and then crossed.
func (b *bench) compare(to netip.Addr, clients [2]*netnsbench.Load, names [2]string, ways ...func(*lane) func()) {
	b.Helper()
	on := func(lane int, way func(*lane) func()) netnsbench.Lane {
		return netnsbench.Lane{Client: clients[lane], To: to, Prepare: way(b.lanes[lane])}
	}
	netnsbench.Compare(b.B, netnsbench.Path,
		netnsbench.Arm{Name: names[0], Lanes: []netnsbench.Lane{on(0, ways[0]), on(1, ways[0])}},
		netnsbench.Arm{Name: names[1], Lanes: []netnsbench.Lane{on(1, ways[1]), on(0, ways[1])}})
}

// loads starts a client and a server in each lane.
func (b *bench) loads(client, server func(*lane) *netnsbench.Load) (clients [2]*netnsbench.Load) {
	b.Helper()
	for i, l := range b.lanes {
		clients[i] = client(l)
		server(l).Serve()
	}
	return clients
}

// placements are where the end that serves runs: together with the caller on one processor, where every nanosecond counts, or
// apart on another one, as users have it.
var placements = map[string]int{"together": runtime.NumCPU() - 1, "apart": 0}

// BenchmarkRootNamespace is what the rules of a group's namespace cost its ambassador, beside the same link without rules: on
// connections it opens, and on those that its published ports take.
func BenchmarkRootNamespace(b *testing.B) {
	names := [2]string{"bare", "rules"}
	for name, cpu := range placements {
		b.Run(name+"/out", func(b *testing.B) {
			x := newBench(b)
			x.compare(outside4, x.loads(
				(*lane).ambassadorLoad,
				func(l *lane) *netnsbench.Load { return netnsbench.NewLoadOn(l, cpu, l.outside, "") },
			), names, (*lane).bare, (*lane).ruled)
		})
		b.Run(name+"/in", func(b *testing.B) {
			x := newBench(b)
			x.compare(group4, x.loads(
				(*lane).outsideLoad,
				func(l *lane) *netnsbench.Load { return netnsbench.NewLoadOn(l, cpu, l.group, l.ambassador) },
			), names, (*lane).bare, (*lane).ruled)
		})
	}
}

// BenchmarkRootLoopback is what rules and fence cost a member that talks to its ambassador, beside a namespace without.
func BenchmarkRootLoopback(b *testing.B) {
	for name, cpu := range placements {
		b.Run(name, func(b *testing.B) {
			x := newBench(b)
			x.compare(netip.MustParseAddr("127.0.0.1"), x.loads(
				(*lane).memberLoad,
				func(l *lane) *netnsbench.Load { return netnsbench.NewLoadOn(l, cpu, l.group, l.ambassador) },
			), [2]string{"bare", "rules"}, (*lane).bare, (*lane).ruled)
		})
	}
}

// BenchmarkRootShare is what the two above cost by the kernel's own account: the part of a processor's time that goes into rules
// and fence, client and server on the same one.
func BenchmarkRootShare(b *testing.B) {
	for name, way := range map[string]struct {
		to             netip.Addr
		client, server func(*lane) *netnsbench.Load
	}{
		"out":      {outside4, (*lane).ambassadorLoad, (*lane).outsideLoad},
		"in":       {group4, (*lane).outsideLoad, (*lane).ambassadorLoad},
		"loopback": {netip.MustParseAddr("127.0.0.1"), (*lane).memberLoad, (*lane).ambassadorLoad},
	} {
		b.Run(name, func(b *testing.B) {
			l := newBench(b).lanes[0]
			l.ruled()()
			client := way.client(l)
			way.server(l).Serve()
			netnsbench.Share(b, netnsbench.Path, client, way.to)
		})
	}
}

func (l *lane) ambassadorLoad() *netnsbench.Load { return netnsbench.NewLoad(l, l.group, l.ambassador) }
func (l *lane) memberLoad() *netnsbench.Load     { return netnsbench.NewLoad(l, l.group, l.members) }
func (l *lane) outsideLoad() *netnsbench.Load    { return netnsbench.NewLoad(l, l.outside, "") }

// plainRedirect is what leads a member's connections to a proxy where nothing else is asked of it.
const plainRedirect = `
table ip plain {
	chain output {
		type nat hook output priority -100;
		oifname "eth0" meta l4proto tcp redirect to :7000
	}
}
`

// BenchmarkRootIntercept is what a member's connection costs that is led to its ambassador, beside a plain redirect to the same
// proxy and nothing else.
func BenchmarkRootIntercept(b *testing.B) {
	x := newBench(b)
	clients := x.loads((*lane).memberLoad, (*lane).ambassadorLoad)
	for _, l := range x.lanes {
		l.policy.Intercept = netnsbench.LoadPort
	}
	x.compare(outside4, clients, [2]string{"redirect", "intercept"}, (*lane).redirected, func(l *lane) func() { return l.do(l.flush, l.apply, l.fence) })
}

func (l *lane) flush() error { netnstest.NFT(l, l.group, "", "flush", "ruleset"); return nil }

func (l *lane) redirected() func() {
	redirect := func() error { netnstest.NFT(l, l.group, plainRedirect, "-f", "-"); return nil }
	return l.do(l.flush, redirect, l.unfence)
}

// BenchmarkRootRefused is how long a member waits for its refusal, and the ambassador, for comparison, for a datagram to leave.
func BenchmarkRootRefused(b *testing.B) {
	x := newBench(b).lanes[0]
	x.ruled()()
	ambassador, member := x.ambassadorLoad(), x.memberLoad()
	for name, to := range map[string]netip.Addr{"IPv4": outside4, "IPv6": outside6} {
		b.Run(name, func(b *testing.B) {
			on := func(name string, client *netnsbench.Load) netnsbench.Arm {
				return netnsbench.Arm{Name: name, Lanes: []netnsbench.Lane{{Client: client, To: to}}}
			}
			netnsbench.Compare(b, []netnsbench.Quantity{netnsbench.RefusedConnect, netnsbench.RefusedSend}, on("member", member))
			netnsbench.Compare(b, []netnsbench.Quantity{netnsbench.PassedSend}, on("ambassador", ambassador))
		})
	}
}
