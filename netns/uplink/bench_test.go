package uplink

import (
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnsbench"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A bench is a namespace outside in which a load serves, and several hosts with routes to it.
// Behind each host there is a group, in which another load calls the outside and is called.
type bench struct {
	*testing.B
	outside     *os.File
	server      *netnsbench.Load
	hierarchies cgroup.Hierarchies
	hosts       int
}

// A testHost is one host with its group, and the link between it and the outside.
type testHost struct {
	host, group    *os.File
	outside4, own4 netip.Addr // the outside's address and the host's own on the link between them
	client         *netnsbench.Load
}

// Addresses of the link between a host and its group, the same on every host.
var (
	near4, group4 = netip.MustParseAddr("10.209.0.0"), netip.MustParseAddr("10.209.0.1")
	near6, group6 = netip.MustParseAddr("fd5a::"), netip.MustParseAddr("fd5a::1")
)

func newBench(b *testing.B) *bench {
	b.Helper()
	netnstest.Root(b)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		b.Fatal(err)
	}
	x := &bench{B: b, outside: netnstest.NewNamespace(b), hierarchies: h}
	b.Cleanup(func() {
		if err := h.Remove(netnstest.CgroupRoot()); err != nil {
			b.Error(err)
		}
	})
	x.server = netnsbench.NewLoad(b, x.outside, "")
	x.server.Serve()
	return x
}

// newHost joins another host to the outside.
func (b *bench) newHost() *testHost {
	b.Helper()
	n := byte(b.hosts)
	b.hosts++
	w := &testHost{host: netnstest.NewNamespace(b), outside4: netip.AddrFrom4([4]byte{198, 51, 100, 4*n + 2}), own4: netip.AddrFrom4([4]byte{198, 51, 100, 4*n + 1})}
	netnstest.Join(b,
		netnstest.End{NS: w.host, Name: "uplink0", Addrs: []string{w.own4.String() + "/30"}},
		netnstest.End{NS: b.outside, Name: fmt.Sprint("host", n), Addrs: []string{w.outside4.String() + "/30"}})
	return w
}

// plainGroup puts a group without rules behind a host that routes. link is the name of the host's
// end.
func (b *bench) plainGroup(w *testHost, link string, addrs ...string) {
	b.Helper()
	w.group = netnstest.NewNamespace(b)
	netnstest.Join(b, netnstest.End{NS: w.host, Name: link, Addrs: addrs},
		netnstest.End{NS: w.group, Name: "eth0", Addrs: []string{group4.String() + "/31"}})
	netnstest.RoutePrefix(b, w.group, netip.MustParsePrefix("0.0.0.0/0"), near4)
	netnstest.Sysctl(b, w.host, "ipv4/ip_forward", "1")
	w.client = netnsbench.NewLoad(b, w.group, "")
	w.client.Serve()
}

// routed makes a host with two hops and nothing else: the control.
func (b *bench) routed() *testHost {
	b.Helper()
	w := b.newHost()
	b.plainGroup(w, "group", near4.String()+"/31")
	netnstest.RoutePrefix(b, b.outside, netip.PrefixFrom(group4, 32), w.own4)
	return w
}

// dockerTable are the rules of Docker 28 for one container that publishes ports, as nft prints
// them. Each rule has a counter.
const dockerTable = `
table ip raw {
	chain PREROUTING {
		type filter hook prerouting priority raw;
		ip daddr 10.209.0.1 iifname != "docker0" counter drop
	}
}
table ip nat {
	chain DOCKER {
		iifname != "docker0" tcp dport 7000-7015 counter dnat to 10.209.0.1
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat;
		fib daddr type local counter jump DOCKER
	}
	chain OUTPUT {
		type nat hook output priority -100;
		ip daddr != 127.0.0.0/8 fib daddr type local counter jump DOCKER
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat;
		ip saddr 10.209.0.0/31 oifname != "docker0" counter masquerade
	}
}
table ip filter {
	chain DOCKER {
		ip daddr 10.209.0.1 iifname != "docker0" oifname "docker0" tcp dport 7000-7015 counter accept
		iifname != "docker0" oifname "docker0" counter drop
	}
	chain DOCKER-USER {
	}
	chain DOCKER-CT {
		oifname "docker0" ct state established,related counter accept
	}
	chain DOCKER-INTERNAL {
	}
	chain DOCKER-BRIDGE {
		oifname "docker0" counter jump DOCKER
	}
	chain DOCKER-FORWARD {
		counter jump DOCKER-CT
		counter jump DOCKER-INTERNAL
		counter jump DOCKER-BRIDGE
		iifname "docker0" counter accept
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		counter jump DOCKER-USER
		counter jump DOCKER-FORWARD
	}
}
`

// bridged makes a host as other programs do: with a bridge and masquerade.
func (b *bench) bridged() *testHost {
	b.Helper()
	w := b.newHost()
	b.plainGroup(w, "veth0")
	netnstest.Bridge(b, netnstest.End{NS: w.host, Name: "docker0", Addrs: []string{near4.String() + "/31"}}, "veth0")
	netnstest.NFT(b, w.host, dockerTable, "-f", "-")
	return w
}

// ours makes a host as Sallyport does. Its table has that many groups, and each publishes that many
// ports. One group exists and has its own rules.
func (b *bench) ours(groups, ports int) *testHost {
	b.Helper()
	w := b.newHost()
	pin := filepath.Join(b.TempDir(), "netns", "group")
	b.Cleanup(func() {
		if err := netns.Remove(pin); err != nil {
			b.Error(err)
		}
	})
	wanted := netns.Config{Path: pin, Link: &netns.Link{Name: netns.LinkName(pin), Host: addrs(near4.String(), near6.String()), Group: addrs(group4.String(), group6.String())}}
	entry := Entry{Link: wanted.Link.Name, Group: wanted.Link.Group}
	ambassador := path.Join(netnstest.CgroupRoot(), fmt.Sprint("g", b.hosts), "ambassador")
	policy := egress.Policy{Mode: egress.Ambassador, Ambassador: b.cgroup(ambassador), Members: b.cgroup(path.Join(path.Dir(ambassador), "members"))}
	for i := range netnsbench.LoadPorts {
		port := uint16(netnsbench.LoadPort + i)
		entry.Publish = append(entry.Publish, Publish{Protocol: "tcp", Host: port, Port: port})
		policy.Published = append(policy.Published, egress.Port{Protocol: "tcp", Port: port})
	}
	netnstest.In(b, w.host, func() error {
		u, err := New(config("sallyport"))
		if err != nil {
			return err
		}
		if err := u.Ensure(); err != nil {
			return err
		}
		for n := 1; n < groups; n++ {
			if err := u.Put(another(n, ports)); err != nil {
				return err
			}
		}
		if err := u.Put(entry); err != nil {
			return err
		}
		return netns.Apply(wanted)
	})
	var err error
	if w.group, err = netns.Open(pin); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.group.Close() })
	if _, err := egress.Apply(w.group, policy); err != nil {
		b.Fatal(err)
	}
	w.client = netnsbench.NewLoad(b, w.group, ambassador)
	w.client.Serve()
	return w
}

func (b *bench) cgroup(path string) cgroup.Cgroup {
	b.Helper()
	c, err := b.hierarchies.Make(path)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// another returns the entry of another group: two addresses, published ports, an allow list of two
// lines.
func another(n, ports int) Entry {
	a4 := netip.AddrFrom4([4]byte{10, 209, byte(n >> 7), byte(n<<1 | 1)})
	a6 := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x5a, 13: byte(n >> 15), 14: byte(n >> 7), 15: byte(n<<1 | 1)})
	e := Entry{Link: fmt.Sprintf("sp-another%d", n), Group: []netip.Addr{a4, a6}, Allow: []ruleset.Endpoint{
		{Prefix: netip.PrefixFrom(a4, 32), Protocol: "tcp", Port: 443},
		{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Protocol: "udp"},
	}}
	for i := range ports {
		e.Publish = append(e.Publish, Publish{Protocol: "tcp", Host: uint16(10000 + ports*n + i), Port: uint16(443 + i)})
	}
	return e
}

func (b *bench) out(name string, w *testHost) netnsbench.Arm {
	return netnsbench.Arm{Name: name, Setups: []netnsbench.Setup{{Client: w.client, To: w.outside4}}}
}

func (b *bench) in(name string, w *testHost, to netip.Addr) netnsbench.Arm {
	return netnsbench.Arm{Name: name, Setups: []netnsbench.Setup{{Client: b.server, To: to}}}
}

// BenchmarkRootPath compares the whole path through the host, including the rules of the group's
// namespace, with the same two hops routed without rules and with a bridge with masquerade. It
// measures connections from the group and to its published ports.
func BenchmarkRootPath(b *testing.B) {
	x := newBench(b)
	routed, bridged, ours := x.routed(), x.bridged(), x.ours(1, 3)
	b.Run("out", func(b *testing.B) {
		netnsbench.Compare(b, netnsbench.Path, x.out("routed", routed), x.out("bridge", bridged), x.out("ours", ours))
	})
	b.Run("in", func(b *testing.B) {
		netnsbench.Compare(b, netnsbench.Path, x.in("routed", routed, group4), x.in("bridge", bridged, bridged.own4), x.in("ours", ours, ours.own4))
	})
}

// BenchmarkRootGroups compares the whole path through hosts with 1, 100 and 1,000 groups. The cost
// of a packet must not grow.
func BenchmarkRootGroups(b *testing.B) {
	x := newBench(b)
	var arms []netnsbench.Arm
	for _, n := range []int{1, 100, 1000} {
		arms = append(arms, x.out(fmt.Sprint(n), x.ours(n, 3)))
	}
	netnsbench.Compare(b, []netnsbench.Quantity{netnsbench.Latency, netnsbench.ConnectRate}, arms...)
}

// BenchmarkRootPorts compares hosts on which 1 and 500 groups publish 32 ports each. The cost of a
// packet must not grow.
func BenchmarkRootPorts(b *testing.B) {
	x := newBench(b)
	few, many := x.ours(1, 32), x.ours(500, 32)
	quantities := []netnsbench.Quantity{netnsbench.Latency, netnsbench.ConnectRate}
	b.Run("out", func(b *testing.B) {
		netnsbench.Compare(b, quantities, x.out("1", few), x.out("500", many))
	})
	b.Run("in", func(b *testing.B) {
		netnsbench.Compare(b, quantities, x.in("1", few, few.own4), x.in("500", many, many.own4))
	})
}
