package egress_test

import (
	"net/netip"
	"os"
	"path"
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A bench is a group's namespace joined to one outside, and the cgroups of its two sides.
type bench struct {
	*testing.B
	group, outside      *os.File
	hierarchies         egress.Hierarchies
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
	h, err := egress.FindHierarchies()
	if err != nil {
		b.Fatal(err)
	}
	root := netnstest.CgroupRoot()
	x := &bench{B: b, group: netnstest.NewNamespace(b), outside: netnstest.NewNamespace(b), hierarchies: h,
		ambassador: path.Join(root, "g/ambassador"), members: path.Join(root, "g/members")}
	b.Cleanup(func() {
		if err := h.Remove(root); err != nil {
			b.Error(err)
		}
	})
	x.policy = egress.Policy{Mode: egress.Ambassador, Ambassador: x.cgroup(x.ambassador), Members: x.cgroup(x.members)}
	for i := range netnstest.LoadPorts {
		x.policy.Published = append(x.policy.Published, egress.Port{Protocol: "tcp", Port: uint16(netnstest.LoadPort + i)})
	}
	netnstest.Join(b,
		netnstest.End{NS: x.group, Name: "eth0", Addrs: []string{group4.String() + "/24", group6.String() + "/64"}},
		netnstest.End{NS: x.outside, Name: "group", Addrs: []string{outside4.String() + "/24", outside6.String() + "/64"}})
	return x
}

func (b *bench) cgroup(path string) egress.Cgroup {
	b.Helper()
	c, err := b.hierarchies.Make(path)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// do returns a function that does all of these, for an arm's turn.
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

func (b *bench) apply() error   { _, err := egress.Apply(b.group, b.policy); return err }
func (b *bench) remove() error  { return egress.Remove(b.group) }
func (b *bench) fence() error   { return b.hierarchies.Fence(b.members) }
func (b *bench) unfence() error { return b.hierarchies.Unfence(b.members) }

// arms are the same path without the rules and with them: the processes, the namespaces and the link are the very same.
func (b *bench) arms(client *netnstest.Load, to netip.Addr) []netnstest.Arm {
	return []netnstest.Arm{
		{Name: "bare", Client: client, To: to, Turn: b.do(b.remove, b.unfence)},
		{Name: "rules", Client: client, To: to, Turn: b.do(b.apply, b.fence)},
	}
}

// placements are where the end that serves runs: together with the caller on one processor, where every nanosecond counts, or
// apart on another one, as users have it.
var placements = map[string]int{"together": runtime.NumCPU() - 1, "apart": 0}

// BenchmarkRootNamespace is what the rules of a group's namespace cost its ambassador, beside the same link without rules: on
// connections it opens, and on those that its published ports take.
func BenchmarkRootNamespace(b *testing.B) {
	for name, cpu := range placements {
		b.Run(name+"/out", func(b *testing.B) {
			x := newBench(b)
			ambassador, outside := netnstest.NewLoad(b, x.group, x.ambassador), netnstest.NewLoadOn(b, cpu, x.outside, "")
			outside.Serve()
			netnstest.Compare(b, netnstest.Path, x.arms(ambassador, outside4)...)
		})
		b.Run(name+"/in", func(b *testing.B) {
			x := newBench(b)
			ambassador, outside := netnstest.NewLoadOn(b, cpu, x.group, x.ambassador), netnstest.NewLoad(b, x.outside, "")
			ambassador.Serve()
			netnstest.Compare(b, netnstest.Path, x.arms(outside, group4)...)
		})
	}
}

// BenchmarkRootLoopback is what rules and fence cost a member that talks to its ambassador, beside a namespace without.
func BenchmarkRootLoopback(b *testing.B) {
	for name, cpu := range placements {
		b.Run(name, func(b *testing.B) {
			x := newBench(b)
			ambassador, member := netnstest.NewLoadOn(b, cpu, x.group, x.ambassador), netnstest.NewLoad(b, x.group, x.members)
			ambassador.Serve()
			netnstest.Compare(b, netnstest.Path, x.arms(member, netip.MustParseAddr("127.0.0.1"))...)
		})
	}
}

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
	x.policy.Intercept = netnstest.LoadPort
	ambassador, member := netnstest.NewLoad(b, x.group, x.ambassador), netnstest.NewLoad(b, x.group, x.members)
	ambassador.Serve()
	flush := func() error { netnstest.NFT(b, x.group, "", "flush", "ruleset"); return nil }
	redirect := func() error { netnstest.NFT(b, x.group, plainRedirect, "-f", "-"); return nil }
	netnstest.Compare(b, netnstest.Path,
		netnstest.Arm{Name: "redirect", Client: member, To: outside4, Turn: x.do(flush, redirect, x.unfence)},
		netnstest.Arm{Name: "intercept", Client: member, To: outside4, Turn: x.do(flush, x.apply, x.fence)})
}

// BenchmarkRootRefused is how long a member waits for its refusal, and the ambassador, for comparison, for a datagram to leave.
func BenchmarkRootRefused(b *testing.B) {
	x := newBench(b)
	x.do(x.apply, x.fence)()
	ambassador, member := netnstest.NewLoad(b, x.group, x.ambassador), netnstest.NewLoad(b, x.group, x.members)
	for name, to := range map[string]netip.Addr{"IPv4": outside4, "IPv6": outside6} {
		b.Run(name, func(b *testing.B) {
			refused := []netnstest.Quantity{netnstest.RefusedConnect, netnstest.RefusedSend}
			netnstest.Compare(b, refused, netnstest.Arm{Name: "member", Client: member, To: to})
			netnstest.Compare(b, []netnstest.Quantity{netnstest.PassedSend}, netnstest.Arm{Name: "ambassador", Client: ambassador, To: to})
		})
	}
}
