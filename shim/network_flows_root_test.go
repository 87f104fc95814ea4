package shim

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/probe"
	"github.com/sallyport/sallyport/spec"
)

// short is how long to wait for what must not come.
const short = 150 * time.Millisecond

func published(g *spec.Group) {
	g.Ambassador().Publish = []spec.Publish{
		{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"},
		{Name: "dns", Host: 8053, Port: 53, Protocol: "udp"},
		{Name: "admin", Address: "127.0.0.1", Host: 8001, Port: 8001, Protocol: "tcp"},
	}
}

func any4or6(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func TestRootPublishedPorts(t *testing.T) {
	s := newStage(t, published)
	tests := []struct {
		name string
		from *probe.Probe
		to   string
		port uint16 // where the ambassador listens
	}{
		{"from outside, IPv4", s.world, "198.51.100.1:8443", 443},
		{"from outside, IPv6", s.world, "[2001:db8:f::1]:8443", 443},
		{"from the host, its own IPv4", s.host, "198.51.100.1:8443", 443},
		{"from the host, its own IPv6", s.host, "[2001:db8:f::1]:8443", 443},
		{"from the host, 127.0.0.1", s.host, "127.0.0.1:8443", 443},
		{"from the host, one address", s.host, "127.0.0.1:8001", 8001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			l := listen(t, s.ambassador, netip.AddrPortFrom(any4or6(to.Addr()), tt.port))
			defer l.Close()
			if err := exchange(t, tt.from, to, l); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("UDP from outside", func(t *testing.T) {
		l := must(s.ambassador.UDP(s.out.Addr4))(t)
		defer l.Close()
		if err := l.Bind(netip.MustParseAddrPort("0.0.0.0:53")); err != nil {
			t.Fatal(err)
		}
		c := must(s.world.UDP(s.out.Addr4))(t)
		defer c.Close()
		if err := c.Connect(netip.AddrPortFrom(s.out.Host4, 8053), patience); err != nil {
			t.Fatal(err)
		}
		if err := c.Send("ask"); err != nil {
			t.Fatal(err)
		}
		got, from, err := l.Receive(patience)
		if err != nil || got != "ask" {
			t.Fatalf("the ambassador received %q: %v", got, err)
		}
		if err := l.SendTo(from, "answer"); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Receive(patience); err != nil || got != "answer" {
			t.Errorf("the world received %q: %v", got, err)
		}
	})
	t.Run("published at one address is not published at another", func(t *testing.T) {
		l := listen(t, s.ambassador, netip.MustParseAddrPort("0.0.0.0:8001"))
		defer l.Close()
		c := must(s.world.TCP(s.out.Host4))(t)
		defer c.Close()
		if err := c.Connect(netip.AddrPortFrom(s.out.Host4, 8001), short); err == nil {
			t.Error("connected")
		}
	})
}

// From the outside only the ambassador is reached, and only where it publishes; from the host, too.
func TestRootInboundToOthersIsRefused(t *testing.T) {
	s := newStage(t, published)
	s.routeToGroup()
	for name, addr := range s.families() {
		group, hostAddr := s.groupAddr(addr), s.out.Host4
		if addr.Is6() {
			hostAddr = s.out.Host6
		}
		tests := []struct {
			name   string
			owner  *probe.Probe
			listen uint16
			to     netip.AddrPort
			from   *probe.Probe
		}{
			{"a member on the published port", s.member, 443, netip.AddrPortFrom(hostAddr, 8443), s.world},
			{"a member by the group's address", s.member, 8080, netip.AddrPortFrom(group, 8080), s.world},
			{"a member by the group's address, from the host", s.member, 8080, netip.AddrPortFrom(group, 8080), s.host},
			{"the ambassador's port that is not published", s.ambassador, 9001, netip.AddrPortFrom(group, 9001), s.world},
			{"the ambassador's port that is not published, from the host", s.ambassador, 9001, netip.AddrPortFrom(group, 9001), s.host},
		}
		for _, tt := range tests {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				l := listen(t, tt.owner, netip.AddrPortFrom(any4or6(addr), tt.listen))
				defer l.Close()
				c := must(tt.from.TCP(addr))(t)
				defer c.Close()
				if err := c.Connect(tt.to, short); err == nil {
					t.Error("connected")
				}
				if _, err := l.Accept(0); !errors.Is(err, unix.ETIMEDOUT) {
					t.Errorf("accept: %v, want nobody", err)
				}
			})
		}
		t.Run(name+", a member's UDP socket on the published port", func(t *testing.T) {
			l := must(s.member.UDP(addr))(t)
			defer l.Close()
			if err := l.Bind(netip.AddrPortFrom(any4or6(addr), 53)); err != nil {
				t.Fatal(err)
			}
			c := must(s.world.UDP(addr))(t)
			defer c.Close()
			if err := c.SendTo(netip.AddrPortFrom(hostAddr, 8053), "x"); err != nil {
				t.Fatal(err)
			}
			if got, _, err := l.Receive(short); err == nil {
				t.Errorf("the member received %q", got)
			}
		})
		t.Run(name+", control inside the group", func(t *testing.T) {
			l := listen(t, s.member, netip.AddrPortFrom(group, 8080))
			defer l.Close()
			if err := exchange(t, s.ambassador, netip.AddrPortFrom(group, 8080), l); err != nil {
				t.Error(err)
			}
		})
	}
}

// routeToGroup tells the outside a way to the group's addresses, as an attacker on the same network would know it.
func (s *stage) routeToGroup() {
	s.t.Helper()
	for _, family := range s.families() {
		host := s.out.Host4
		if family.Is6() {
			host = s.out.Host6
		}
		netnstest.Route(s.t, s.out.NS, s.groupAddr(family), host)
	}
}

// An app that binds the ambassador's 4-tuple neither sends on its flow nor answers on it.
func TestRootFourTupleTrick(t *testing.T) {
	s := newStage(t, nil)
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			server := must(s.world.UDP(addr))(t)
			defer server.Close()
			at := netip.AddrPortFrom(addr, 53)
			if err := server.Bind(at); err != nil {
				t.Fatal(err)
			}
			own := netip.AddrPortFrom(s.groupAddr(addr), 40000)
			open := func(p *probe.Probe) *probe.Socket {
				c := must(p.UDP(addr))(t)
				if err := errors.Join(c.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), c.Bind(own), c.Connect(at, patience)); err != nil {
					t.Fatal(err)
				}
				return c
			}
			honest := open(s.ambassador)
			defer honest.Close()
			if err := honest.Send("honest"); err != nil {
				t.Fatal(err)
			}
			got, from, err := server.Receive(patience)
			if err != nil || got != "honest" {
				t.Fatalf("control: received %q: %v", got, err)
			}
			s.drain()
			thief := open(s.member)
			defer thief.Close()
			if err := thief.Send("stolen"); err == nil {
				t.Error("the member sent on the ambassador's flow")
			}
			for range 8 {
				if err := server.SendTo(from, "reply"); err != nil {
					t.Fatal(err)
				}
			}
			if got, _, err := thief.Receive(short); err == nil {
				t.Errorf("the member received %q on the ambassador's flow", got)
			}
			s.silent()
		})
	}
}

// What an ambassador closes is closed on the other side as well, though no socket sends the last ACK.
func TestRootClosesLeaveNothingBehind(t *testing.T) {
	s := newStage(t, published)
	l := listen(t, s.ambassador, netip.MustParseAddrPort("0.0.0.0:443"))
	to := netip.AddrPortFrom(s.out.Host4, 8443)
	const closes = 50
	for range closes {
		c := must(s.world.TCP(to.Addr()))(t)
		if err := c.Connect(to, patience); err != nil {
			t.Fatal(err)
		}
		a := must(l.Accept(patience))(t)
		if err := a.Close(); err != nil { // the active close
			t.Fatal(err)
		}
		if got, _, err := c.Receive(patience); err != nil || got != "" {
			t.Fatalf("received %q: %v, want the end", got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	netnstest.Eventually(t, "no connection of the world is left in LAST-ACK", func() bool {
		return len(netnstest.Connections(t, s.out.NS, netnstest.LastAck)) == 0
	})
	c := must(s.world.TCP(to.Addr()))(t)
	if err := c.Connect(to, patience); err != nil {
		t.Fatal(err)
	}
	must(l.Accept(patience))(t)
	s.ambassador.Kill()
	if got, _, err := c.Receive(patience); got != "" || errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("after the ambassador was killed the world received %q: %v, want an end", got, err)
	}
	c2 := must(s.world.TCP(to.Addr()))(t)
	if err := c2.Connect(to, short); err == nil {
		t.Error("connected to a dead ambassador")
	}
}

// A member can't make the namespace itself forward: by way of loopback, with forwarding turned on behind our back.
func TestRootNamespaceDoesNotForward(t *testing.T) {
	s := newStage(t, nil)
	netnstest.Sysctl(t, s.ns, "ipv4/ip_forward", "1")
	netnstest.Sysctl(t, s.ns, "ipv6/conf/all/forwarding", "1")
	netnstest.Sysctl(t, s.ns, "ipv4/conf/lo/accept_local", "1")
	netnstest.Sysctl(t, s.ns, "ipv4/conf/all/rp_filter", "0")
	netnstest.Sysctl(t, s.ns, "ipv4/conf/lo/rp_filter", "0")
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			c := must(s.member.UDP(addr))(t)
			defer c.Close()
			if err := c.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"); err != nil {
				t.Fatal(err)
			}
			_ = c.SendTo(netip.AddrPortFrom(addr, 53), "by way of lo")
			s.silent()
		})
	}
}

func TestRootAmbassadorIsKeptFromHostAndGroups(t *testing.T) {
	s := newStage(t, nil)
	other := testGroup("other", func(g *spec.Group) {
		g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 9443, Port: 443, Protocol: "tcp"}}
	})
	up(t, s.net, other)
	t.Cleanup(func() { _ = s.net.Remove(t.Context(), other.Name) })
	ns := must(s.net.open(other.Name))(t)
	defer ns.Close()
	neighbour := netnstest.Probe(t, ns, s.net.layout.CgroupParent(other.Name, spec.Ambassador))
	pair := must(s.net.pair(other.Name))(t)
	own := must(s.net.pair(s.group.Name))(t)

	targets := []struct {
		name   string
		owner  *probe.Probe
		listen string
		to     string
	}{
		{"a service of the host", s.host, "0.0.0.0:5000", netip.AddrPortFrom(s.out.Host4, 5000).String()},
		{"a service of the host, IPv6", s.host, "[::]:5001", netip.AddrPortFrom(s.out.Host6, 5001).String()},
		{"a service of the host by the link", s.host, "0.0.0.0:5002", netip.AddrPortFrom(own.Host4, 5002).String()},
		{"another group by its address", neighbour, "0.0.0.0:443", netip.AddrPortFrom(pair.Group4, 443).String()},
		{"another group by its address, IPv6", neighbour, "[::]:444", netip.AddrPortFrom(pair.Group6, 444).String()},
		{"another group by its published port", neighbour, "0.0.0.0:443", netip.AddrPortFrom(s.out.Host4, 9443).String()},
		{"metadata", nil, "", "169.254.169.254:80"},
		{"metadata, IPv6", nil, "", "[fd00:ec2::254]:80"},
	}
	for _, tt := range targets {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			if tt.owner != nil {
				l := listen(t, tt.owner, netip.MustParseAddrPort(tt.listen))
				defer l.Close()
			}
			c := must(s.ambassador.TCP(to.Addr()))(t)
			defer c.Close()
			if err := c.Connect(to, patience); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("TCP: %v after %s, want a refusal", err, c.Took)
			}
			u := must(s.ambassador.UDP(to.Addr()))(t)
			defer u.Close()
			if err := u.Connect(to, patience); err != nil {
				t.Fatal(err)
			}
			if err := u.Send("x"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := u.Receive(patience); err == nil || errors.Is(err, unix.ETIMEDOUT) {
				t.Errorf("UDP: %v, want a refusal", err)
			}
		})
	}

	// The same, named by the allow list, is let through; what it does not name is refused in the namespace already.
	s.group.Ambassador().Allow = []spec.Allow{
		{Prefix: s.out.Host4.String() + "/32", Port: 5000, Protocol: "tcp"},
		{Prefix: s.out.Host4.String() + "/32", Port: 9443, Protocol: "tcp"},
		{Prefix: "2001:db8:f::/64", Protocol: "tcp"},
	}
	up(t, s.net, s.group)
	for _, tt := range []struct {
		name, listen, to string
		owner            *probe.Probe
		refused          bool
	}{
		{name: "the host, allowed", owner: s.host, listen: "0.0.0.0:5000", to: netip.AddrPortFrom(s.out.Host4, 5000).String()},
		{name: "the host, IPv6, allowed", owner: s.host, listen: "[::]:5001", to: netip.AddrPortFrom(s.out.Host6, 5001).String()},
		{name: "another group's published port, allowed", owner: neighbour, listen: "0.0.0.0:443", to: netip.AddrPortFrom(s.out.Host4, 9443).String()},
		{name: "outside, IPv6, allowed", owner: s.world, listen: "[::]:5003", to: netip.AddrPortFrom(s.out.Addr6, 5003).String()},
		{name: "the host, another port", owner: s.host, listen: "0.0.0.0:5002", to: netip.AddrPortFrom(s.out.Host4, 5002).String(), refused: true},
		{name: "outside, not named", owner: s.world, listen: "0.0.0.0:5004", to: netip.AddrPortFrom(s.out.Addr4, 5004).String(), refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t, tt.owner, netip.MustParseAddrPort(tt.listen))
			defer l.Close()
			err := exchange(t, s.ambassador, netip.MustParseAddrPort(tt.to), l)
			if tt.refused && !errors.Is(err, unix.ECONNREFUSED) || !tt.refused && err != nil {
				t.Errorf("exchange: %v, refusal wanted: %v", err, tt.refused)
			}
		})
	}
}

// With an allow list the ambassador still answers on what it publishes, but opens nothing from there.
func TestRootAllowListLetsRepliesPass(t *testing.T) {
	s := newStage(t, func(g *spec.Group) {
		published(g)
		g.Ambassador().Allow = []spec.Allow{{Prefix: "203.0.113.7/32", Port: 1, Protocol: "tcp"}}
	})
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			host := s.out.Host4
			if addr.Is6() {
				host = s.out.Host6
			}
			l := listen(t, s.ambassador, netip.AddrPortFrom(any4or6(addr), 443))
			defer l.Close()
			if err := exchange(t, s.world, netip.AddrPortFrom(host, 8443), l); err != nil {
				t.Errorf("published port: %v", err)
			}
			// A datagram from a published port that answers nothing passes the namespace and is stopped by the host.
			sink := must(s.world.UDP(addr))(t)
			defer sink.Close()
			at := netip.AddrPortFrom(addr, 9999)
			if err := sink.Bind(at); err != nil {
				t.Fatal(err)
			}
			u := must(s.ambassador.UDP(addr))(t)
			defer u.Close()
			if err := u.Bind(netip.AddrPortFrom(s.groupAddr(addr), 53)); err != nil {
				t.Fatal(err)
			}
			_ = u.SendTo(at, "smuggled")
			if got, _, err := sink.Receive(short); err == nil {
				t.Errorf("the world received %q", got)
			}
		})
	}
}

func TestRootPortInUse(t *testing.T) {
	s := newStage(t, nil)
	l := listen(t, s.host, netip.MustParseAddrPort("127.0.0.1:8443"))
	defer l.Close()
	for _, tt := range []struct {
		name    string
		publish spec.Publish
		taken   bool
	}{
		{"every address", spec.Publish{Host: 8443, Protocol: "tcp"}, true},
		{"that address", spec.Publish{Address: "127.0.0.1", Host: 8443, Protocol: "tcp"}, true},
		{"another address", spec.Publish{Address: "198.51.100.1", Host: 8443, Protocol: "tcp"}, false},
		{"another port", spec.Publish{Host: 8444, Protocol: "tcp"}, false},
		{"another protocol", spec.Publish{Host: 8443, Protocol: "udp"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			holder, err := s.net.PortInUse(tt.publish)
			if err != nil || (holder != "") != tt.taken {
				t.Errorf("holder %q, %v; taken wanted: %v", holder, err, tt.taken)
			}
			t.Log(holder)
		})
	}
}
