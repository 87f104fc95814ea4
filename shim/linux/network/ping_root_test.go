package network

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// An ambassador with the sysctl pings the addresses that its allow list has, and no others. Members
// make no ping sockets. What others change of it is put back, and it ends while the group runs.
func TestRootPings(t *testing.T) {
	h := newHarness(t, nil)
	pinging := func(groups string) {
		t.Helper()
		h.group.Ambassador().PingGroups = groups
		bringUp(t, h.net, h.group)
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
			t.Errorf("groups %q may ping: rules are %v, want present", groups, got)
		}
	}
	socket := func(p *netnstest.Helper, a netip.Addr) (*netnstest.Socket, error) {
		return p.Socket(domain(a), unix.SOCK_DGRAM, icmpProtocol(a))
	}
	expect := func(when string, ambassador, member error) {
		t.Helper()
		for who, x := range map[string]struct {
			p    *netnstest.Helper
			want error
		}{"the ambassador": {h.ambassador, ambassador}, "a member": {h.member, member}} {
			for _, a := range h.families() {
				s, err := socket(x.p, a)
				if !errors.Is(err, x.want) {
					t.Errorf("%s, %s: ping socket to %s: %v, want %v", when, who, a, err, x.want)
				}
				if err == nil {
					s.Close()
				}
			}
		}
	}
	// ask sends an echo request and waits for the answer, or for a moment if none is to come.
	ask := func(to netip.Addr, wait time.Duration) error {
		t.Helper()
		s := must(socket(h.ambassador, to))(t)
		defer s.Close()
		if err := s.SendTo(netip.AddrPortFrom(to, 0), string(echoRequest(to))); err != nil {
			return err
		}
		_, _, err := s.Receive(wait)
		return err
	}

	expect("without the sysctl", unix.EACCES, unix.EACCES)
	h.group.Ambassador().Allow = nil
	pinging("0 0")
	expect("with it", nil, unix.EPERM)
	for name, a := range h.families() {
		if err := ask(a, longWait); err != nil {
			t.Errorf("%s, without an allow list: %v", name, err)
		}
	}

	for _, a := range h.families() {
		h.group.Ambassador().Allow = append(h.group.Ambassador().Allow, spec.Allow{Prefix: netip.PrefixFrom(a, a.BitLen()).String(), Port: 443, Protocol: "tcp"})
	}
	mark := spec.Allow{Prefix: netip.PrefixFrom(h.out.Addr4, 32).String(), Protocol: "udp"} // see [harness.drain]
	h.group.Ambassador().Allow = append(h.group.Ambassador().Allow, mark)
	pinging("0 0")
	others := []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8:e::9")}
	for name, a := range h.families() {
		if err := ask(a, longWait); err != nil {
			t.Errorf("%s, to an address of the allow list: %v", name, err)
		}
	}
	h.drain()
	for _, a := range others {
		if err := ask(a, time.Millisecond); err == nil {
			t.Errorf("%s answers, which the allow list does not have", a)
		}
	}
	h.expectNothingSent()
	h.expectDenials(denial("proxy", "icmp", netip.AddrPortFrom(others[0], 0), 1), denial("proxy", "ipv6-icmp", netip.AddrPortFrom(others[1], 0), 1))

	// What others change is noticed and put back.
	for what, change := range map[string]func(){
		"the sysctl closed": func() { netnstest.Sysctl(t, h.ns, "ipv4/ping_group_range", netns.NoPingGroups) },
		"the sysctl opened": func() { netnstest.Sysctl(t, h.ns, "ipv4/ping_group_range", "0 5") },
		"the program gone":  func() { detach(t, h.net, h.group.Name, ebpf.AttachCGroupInetSockCreate) },
	} {
		change()
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
			t.Errorf("%s: rules are %v, want absent", what, got)
		}
		pinging("0 0")
		expect("after "+what, nil, unix.EPERM)
	}

	pinging("7 8")
	expect("for groups that no process has", unix.EACCES, unix.EACCES)
	pinging("")
	expect("without it again", unix.EACCES, unix.EACCES)
	if ok, err := egress.PingSocketsRefused(h.net.cgroups, h.net.members(h.group)); ok || err != nil {
		t.Errorf("the program is still there: %v, %v", ok, err)
	}
	netnstest.Sysctl(t, h.ns, "ipv4/ping_group_range", "0 0")
	if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
		t.Errorf("opened by another: rules are %v, want absent", got)
	}
	bringUp(t, h.net, h.group)
	expect("opened by another, and put back", unix.EACCES, unix.EACCES)
}

// A host that can't refuse ping sockets to members opens none: the group does not come up.
func TestRootPingsNeedTheProgram(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", func(g *spec.Group) { g.Ambassador().PingGroups = "0 0" })
	defer removeGroup(t, n, g.Name)
	if err := n.Seal(t.Context(), g.Name); err != nil {
		t.Fatal(err)
	}
	must(n.cgroups.Make(n.members(g)))(t)
	attachOther(t, n, n.members(g), ebpf.AttachCGroupInetSockCreate, ebpf.CGroupSock, unix.BPF_F_ALLOW_MULTI) // beside which the kernel allows no program that is alone
	err := n.Admit(t.Context(), g)
	if err == nil {
		t.Fatal("the group came up")
	}
	t.Log(err)
	ns := must(n.open(g.Name))(t)
	defer ns.Close()
	if seen := must(egress.Visit(ns, false))(t); seen.PingGroups != netns.NoPingGroups {
		t.Errorf("groups %s may ping, want none", seen.PingGroups)
	}
}
