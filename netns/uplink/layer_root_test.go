package uplink

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func endpoint(t testing.TB, s string) ruleset.Endpoint {
	t.Helper()
	at := must(netip.ParseAddrPort(s))(t)
	return ruleset.Endpoint{Prefix: netip.PrefixFrom(at.Addr(), at.Addr().BitLen()), Protocol: "udp", Port: at.Port()}
}

// The rows are destinations that a group does not reach by default. An allow list may name some of
// them. Then the same datagram arrives, which is the control, and another port of the same address
// stays refused.
func TestRootSecondLayer(t *testing.T) {
	s := newHarness(t)
	// The outside has the addresses of the metadata services, and the host has link-local ones:
	// only the rules stop the packets.
	for _, metadata := range []string{"169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"} {
		a := netip.MustParseAddr(metadata)
		by := s.out.Addr4
		if a.Is6() {
			by = s.out.Addr6
		}
		netnstest.Route(t, own(t), a, by)
		netnstest.AddAddress(t, s.out.NS, "eth0", netip.PrefixFrom(a, a.BitLen()).String())
	}
	netnstest.AddAddress(t, own(t), s.one.Link, "fe80::1/64")
	port := func(a netip.Addr) string { return netip.AddrPortFrom(a, 5000).String() }
	for _, tt := range []struct {
		name, to string
		at       *netnstest.Helper
		passes   bool // without being named
		never    bool // not even when named: the rules of the other group's link stop it
	}{
		{name: "outside", to: port(s.out.Addr4), at: s.outside, passes: true},
		{name: "outside, IPv6", to: port(s.out.Addr6), at: s.outside, passes: true},
		{name: "metadata", to: "169.254.169.254:5000", at: s.outside},
		{name: "metadata, IPv6", to: "[fd00:ec2::254]:5000", at: s.outside},
		{name: "metadata by NAT64", to: "[64:ff9b::a9fe:a9fe]:5000", at: s.outside},
		{name: "link-local", to: "[fe80::1]:5000", at: s.host},
		{name: "the host", to: port(s.out.Host4), at: s.host},
		{name: "the host, IPv6", to: port(s.out.Host6), at: s.host},
		{name: "the host by the link", to: port(s.gateway4), at: s.host},
		{name: "the host by the link, IPv6", to: port(s.gateway6), at: s.host},
		{name: "the host, anycast", to: port(netip.MustParseAddr("2001:db8:f::")), at: s.host},
		{name: "the host by another's link", to: port(netip.MustParseAddr("10.209.0.2")), at: s.host},
		{name: "the host, broadcast", to: port(netip.MustParseAddr("198.51.100.255")), at: s.host},
		{name: "the host, all nodes", to: port(netip.MustParseAddr("ff02::1")), at: s.host},
		{name: "another group", to: port(s.neighbour4), at: s.neighbour, never: true},
		{name: "another group, IPv6", to: port(s.neighbour6), at: s.neighbour, never: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			from := s.one.Group[0]
			if to.Addr().Is6() {
				from = s.one.Group[1]
			}
			s.allow()
			s.arrives(t, tt.passes, to, tt.at, from)
			s.allow(tt.to)
			s.arrives(t, !tt.never, to, tt.at, from)
			s.arrives(t, false, netip.AddrPortFrom(to.Addr(), 5001), tt.at, from)
			if tt.passes { // an empty list is not the same as none
				nowhere := s.one
				nowhere.Allow = []ruleset.Endpoint{}
				put(t, s.uplink, nowhere)
				s.arrives(t, false, to, tt.at, from)
			}
		})
	}
}

// A group can send from its own addresses only. The control is the same datagram from its own
// address.
func TestRootForeignSource(t *testing.T) {
	s := newHarness(t)
	for _, tt := range []struct {
		name, from string
		passes     bool
	}{
		{"its own", "10.209.0.1", true},
		{"another group's", "10.209.0.3", false},
		{"the host's end of its link", "10.209.0.0", false},
		{"the host's", "198.51.100.1", false},
		{"of the outside", "203.0.113.7", false},
		{"its own, IPv6", "fd5a::1", true},
		{"another group's, IPv6", "fd5a::3", false},
		{"the host's, IPv6", "2001:db8:f::1", false},
		{"of the outside, IPv6", "2001:db8:77::7", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := netip.MustParseAddr(tt.from), netip.AddrPortFrom(s.out.Addr4, 5000)
			if from.Is6() {
				to = netip.AddrPortFrom(s.out.Addr6, 5000)
			}
			if !tt.passes {
				netnstest.AddAddress(t, s.groupNS, "eth0", netip.PrefixFrom(from, from.BitLen()).String())
			}
			before := s.spoofed()
			s.arrives(t, tt.passes, to, s.outside, from)
			if !tt.passes && s.spoofed() == before {
				t.Error("nothing was counted as spoofed")
			}
		})
	}
}

// The table judges no group of another daemon. The name of its link begins as those of ours. The
// control is the table with an entry for that link.
func TestRootAnotherDaemonsGroup(t *testing.T) {
	s := newHarness(t)
	own, foreign := s.two, "10.209.0.77"
	netnstest.AddAddress(t, s.neighbourNS, "eth0", foreign+"/32")
	s.group = s.neighbour
	send := func(passes bool) {
		t.Helper()
		before := s.spoofed()
		s.arrives(t, passes, netip.AddrPortFrom(s.out.Addr4, 5000), s.outside, netip.MustParseAddr(foreign))
		if got := s.spoofed() != before; got == passes {
			t.Errorf("a packet was counted as spoofed: %v, want %v", got, !passes)
		}
	}
	send(false)
	if err := s.uplink.Delete(own.Link); err != nil {
		t.Fatal(err)
	}
	send(true)
	put(t, s.uplink, own)
	send(false)
}

// A group can't send on another group's flow: the datagram has the addresses and ports of a flow
// that the host has accepted.
func TestRootForeignFlow(t *testing.T) {
	s := newHarness(t)
	to := netip.AddrPortFrom(s.out.Addr4, 5000)
	sink := must(s.outside.UDP(to.Addr()))(t)
	defer sink.Close()
	if err := sink.Bind(to); err != nil {
		t.Fatal(err)
	}
	flow := netip.AddrPortFrom(s.neighbour4, 40000)
	netnstest.AddAddress(t, s.groupNS, "eth0", netip.PrefixFrom(flow.Addr(), 32).String())
	say := func(p *netnstest.Helper, want bool) bool {
		c := must(p.UDP(to.Addr()))(t)
		defer c.Close()
		if err := freebind(c, flow); err != nil {
			t.Fatal(err)
		}
		if err := c.SendTo(to, "x"); err != nil {
			t.Fatal(err)
		}
		_, from, err := sink.Receive(wait(want))
		if err == nil {
			if err := sink.SendTo(from, "answer"); err != nil { // now the flow is established
				t.Fatal(err)
			}
		}
		return err == nil
	}
	for range 2 {
		if !say(s.neighbour, true) {
			t.Fatal("control: a datagram of the flow's owner does not arrive")
		}
	}
	before := s.spoofed()
	if say(s.group, false) {
		t.Error("a datagram of another group arrives on the flow")
	}
	if s.spoofed() == before {
		t.Error("nothing was counted as spoofed")
	}
}

func (s *harness) spoofed() uint64 {
	s.t.Helper()
	conn := must(ruleset.Open(0))(s.t)
	defer conn.Close()
	return must(ruleset.Counts(conn, "sallyport"))(s.t)[chainSpoofed].Packets
}
