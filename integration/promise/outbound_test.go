package promise

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/sallyport/sallyport/integration/machine"
)

const (
	outboundTitle = "1. Packets of every protocol"
	identityTitle = "2. By another name"
	familiesTitle = "3. By another door of the kernel"
)

var outbound = []technique{
	{name: "tcp", to4: machine.Victim4, to6: machine.Victim6},
	{name: "udp", what: "udp, connected", to4: machine.Victim4, to6: machine.Victim6},
	{name: "udp-unconnected", what: "udp, not connected", to4: machine.Victim4, to6: machine.Victim6},
	{name: "udp-gso", what: "udp, segmented by the kernel", to4: machine.Victim4, to6: machine.Victim6},
	{name: "udplite", what: "UDP-Lite", to4: machine.Victim4, to6: machine.Victim6, optional: true},
	{name: "sctp", what: "SCTP", to4: machine.Victim4, to6: machine.Victim6, optional: true},
	{name: "dccp", what: "DCCP", to4: machine.Victim4, to6: machine.Victim6, optional: true},
	{name: "mptcp", what: "MPTCP", to4: machine.Victim4, to6: machine.Victim6, optional: true},
	{name: "smc", what: "SMC", to4: machine.Victim4, to6: machine.Victim6, optional: true},
	{name: "fastopen", what: "tcp, fast open", to4: machine.Victim4, to6: machine.Victim6},
	{name: "ping", what: "ICMP echo, ping socket", to4: machine.Victim4, to6: machine.Victim6},
	{name: "ping-socket", what: "a ping socket, for loopback too", to4: nowhere, door: true},
	{name: "ping-socket-6", what: "a ping socket for ICMPv6, for loopback too", to4: nowhere, door: true},
	{name: "raw-icmp", what: "ICMP echo, raw socket", to4: machine.Victim4, to6: machine.Victim6, root: true},
	{name: "fragments", to4: machine.Victim4, to6: machine.Victim6},
	{name: "broadcast", to4: "255.255.255.255", public: true},
	{name: "multicast", to4: "224.0.0.251", to6: "ff02::fb", public: true},
	{name: "multicast-join", what: "multicast, joining a group", to4: "239.1.2.3", to6: "ff05::1234", kernel: true},
	{name: "neighbour", what: "asking for a neighbour, link-local", to6: machine.VictimLink, public: true},
	{name: "dontroute", what: "asking for a neighbour, SO_DONTROUTE", to4: machine.Victim4, public: true},
	{name: "source-route", what: "source route by way of the group itself", to4: machine.Victim4, kernel: true, root: true, untold: true},
	{name: "source-route", what: "source route by way of the group itself", to6: machine.Victim6, kernel: true},
}

var identity = []technique{
	{name: "ambassador-uid", what: "the ambassador's uid and gid", to4: machine.Victim4, to6: machine.Victim6, exec: true},
	{name: "mark", what: "SO_MARK", to4: machine.Victim4, to6: machine.Victim6},
	{name: "bindtodevice", what: "SO_BINDTODEVICE", to4: machine.Victim4, to6: machine.Victim6},
	{name: "published-port", what: "from a published port", to4: machine.Victim4, to6: machine.Victim6},
	{name: "v4-mapped", what: "v4-mapped v6 address", to4: machine.Victim4},
	{name: "ip-options", what: "IP options", to4: machine.Victim4, to6: machine.Victim6},
	{name: "other-source", what: "another source address", to4: machine.Victim4, public: true, root: true},
	{name: "other-source", what: "another source address", to6: machine.Victim6, public: true},
	{name: "pktinfo", what: "another source address by IP_PKTINFO", to4: machine.Victim4, public: true, root: true},
	{name: "pktinfo", what: "another source address by IP_PKTINFO", to6: machine.Victim6, public: true},
}

var families = []technique{
	{name: "packet", what: "AF_PACKET, datagram", to4: nowhere, public: true, root: true},
	{name: "packet-raw", what: "AF_PACKET, whole frame", to4: nowhere, public: true, root: true},
	{name: "sock-packet", what: "SOCK_PACKET", to4: nowhere, door: true, root: true},
	{name: "raw-ip", what: "raw IP", to4: machine.Victim4, to6: machine.Victim6, root: true},
	{name: "raw-header", what: "raw IP, header and source of its own", to4: machine.Victim4, to6: machine.Victim6, root: true},
	{name: "vsock", what: "AF_VSOCK", to4: nowhere, door: true, root: true, optional: true},
	{name: "alg", what: "AF_ALG", to4: nowhere, door: true, root: true, optional: true},
	{name: "xdp", what: "AF_XDP", to4: nowhere, door: true, root: true, optional: true},
	{name: "netfilter", what: "netlink other than routes", to4: nowhere, door: true, root: true},
	{name: "tcp", what: "tcp by 32-bit socketcall", to4: machine.Victim4, to6: machine.Victim6, how: "child386", root: true, optional: true},
	{name: "packet", what: "AF_PACKET by 32-bit socketcall", to4: nowhere, how: "child386", public: true, root: true, optional: true},
	{name: "x32", what: "AF_PACKET by x32 calls", to4: nowhere, exec: true, door: true, root: true, optional: true},
	{name: "io_uring", what: "tcp by io_uring", to4: machine.Victim4, to6: machine.Victim6, root: true, optional: true},
}

// TestPromiseOutbound is classes 1 to 3.
func TestPromiseOutbound(t *testing.T) {
	r := newOutboundTest(t)
	machine.MustInNetns(t, r.ns, openSysctls)
	machine.MustInNetns(t, r.early, openSysctls)
	one, two, three := newSection(t, outboundTitle), newSection(t, identityTitle), newSection(t, familiesTitle)
	r.try(one, outbound)
	r.try(two, identity)
	r.try(three, families)
	r.withPingSockets(one)
	r.withoutRules(one, outbound)
}

// withPingSockets takes away the program that refuses ping sockets to members. What the app sends
// by one still does not come out.
func (r *outboundTest) withPingSockets(s *section) {
	r.T.Helper()
	defer r.Freeze()()
	machine.DropPrograms(r.T, r.CgroupV2("g/members"), ebpf.AttachCGroupInetSockCreate)
	opened := technique{name: "ping-socket", door: true}
	if got := opened.row(nowhere, try{who: "app", o: ask(r.T, r.ns, 7001, attackOrder{how: "self", technique: opened.name, to: nowhere})}, nil); got.seen != "opened" {
		r.T.Errorf("without its program no ping socket is opened either: %s", got.seen)
	}
	x := technique{name: "ping", what: "ICMP echo, ping socket, if it could be made"}
	for _, to := range []string{machine.Victim4, machine.Victim6} {
		o := ask(r.T, r.ns, 7001, attackOrder{how: "self", technique: x.name, to: to})
		out := r.seen.Take(r.T, machine.AnyFrame)
		s.add(x.row(to, try{who: "app", o: o}, out), out)
		r.control(s, x, to)
	}
}

// openSysctls sets the sysctls that groups close as well, because no row may depend on them:
// forwarding and source routes. Ping sockets are opened by the groups' own files.
func openSysctls() error {
	for key, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1",
		"ipv4/conf/all/accept_source_route": "1", "ipv4/conf/lo/accept_source_route": "1",
		"ipv4/conf/all/rp_filter": "0", "ipv4/conf/lo/rp_filter": "0", "ipv4/conf/lo/accept_local": "1",
		"ipv6/conf/all/seg6_enabled": "1", "ipv6/conf/lo/seg6_enabled": "1",
	} {
		if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// withoutRules removes the group's rules and lets the app try again. The fence on its cgroup holds
// by itself. Then it removes the fence too, and the app is seen. This is the only control for what
// the kernel sends on behalf of a process, because such packets belong to no process.
func (r *outboundTest) withoutRules(s *section, techniques []technique) {
	r.T.Helper()
	defer r.Freeze()()
	attempt := func(x technique, to string, fence bool) (outcome, []machine.Frame) {
		machine.DropTables(r.T, r.ns)
		if !fence {
			machine.DropFence(r.T, r.CgroupV2("g/members"))
		}
		what := attackOrder{how: "self", technique: x.name, to: to}
		if x.root {
			return asRoot(r.Machine, r.ns, what), r.seen.Take(r.T, machine.AnyFrame)
		}
		return ask(r.T, r.ns, 7001, what), r.seen.Take(r.T, machine.AnyFrame)
	}
	tcp := techniques[0]
	for _, to := range []string{machine.Victim4, machine.Victim6} {
		o, out := attempt(tcp, to, true)
		fenced := tcp.row(to, try{who: "app", o: o}, out)
		fenced.technique, fenced.control = "tcp, no rules but the fence", "the same without the fence"
		s.add(fenced, out)
	}
	for _, to := range []string{machine.Victim4, machine.Victim6} {
		if _, out := attempt(tcp, to, false); len(out) == 0 {
			r.T.Errorf("tcp over %s is not seen without rules and fence either", family(to))
		}
	}
	for _, x := range techniques {
		for _, to := range []string{x.to4, x.to6} {
			if to == "" || !x.kernel {
				continue
			}
			if o, out := attempt(x, to, false); len(out) == 0 {
				r.T.Errorf("%s over %s is not seen without rules either, so its row proves nothing: %s", x.name, family(to), o.Error)
			}
			who := "the same without rules"
			if x.root {
				who = "root there, without rules"
			}
			s.control(x.title(), family(to), who)
		}
	}
}
