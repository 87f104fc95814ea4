package network

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// shortWait is how long to wait for what must not come.
const shortWait = 150 * time.Millisecond

func withPublish(g *spec.Group) {
	g.Ambassador().Publish = []spec.Publish{
		{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"},
		{Name: "dns", Host: 8053, Port: 53, Protocol: "udp"},
		{Name: "admin", Address: "127.0.0.1", Host: 8001, Port: 8001, Protocol: "tcp"},
	}
}

// unspecified returns the address 0.0.0.0 or ::.
func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func TestRootPublishedPorts(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) {
		withPublish(g)
		media := spec.Publish{Name: "media", Host: 10000, Port: 20000, Count: 512, Protocol: "tcp"}
		g.Ambassador().Publish = append(g.Ambassador().Publish, media)
	})
	tests := []struct {
		name string
		from *netnstest.Helper
		to   string
		port uint16 // the ambassador's
	}{
		{"from outside, IPv4", h.remote, "198.51.100.1:8443", 443},
		{"from outside, IPv6", h.remote, "[2001:db8:f::1]:8443", 443},
		{"from the host, its own IPv4", h.host, "198.51.100.1:8443", 443},
		{"from the host, its own IPv6", h.host, "[2001:db8:f::1]:8443", 443},
		{"from the host, 127.0.0.1", h.host, "127.0.0.1:8443", 443},
		{"from the host, one address", h.host, "127.0.0.1:8001", 8001},
		{"the first of a range", h.remote, "198.51.100.1:10000", 20000},
		{"the last of a range, IPv6", h.remote, "[2001:db8:f::1]:10511", 20511},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			l := listen(t, h.ambassador, netip.AddrPortFrom(unspecified(to.Addr()), tt.port))
			defer l.Close()
			if err := exchange(t, tt.from, to, l); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("UDP from outside", func(t *testing.T) {
		l := must(h.ambassador.UDP(h.out.Addr4))(t)
		defer l.Close()
		if err := l.Bind(netip.MustParseAddrPort("0.0.0.0:53")); err != nil {
			t.Fatal(err)
		}
		c := must(h.remote.UDP(h.out.Addr4))(t)
		defer c.Close()
		if err := c.Connect(netip.AddrPortFrom(h.out.Host4, 8053), longWait); err != nil {
			t.Fatal(err)
		}
		if err := c.Send("ask"); err != nil {
			t.Fatal(err)
		}
		got, from, err := l.Receive(longWait)
		if err != nil || got != "ask" {
			t.Fatalf("the ambassador received %q: %v", got, err)
		}
		if err := l.SendTo(from, "answer"); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Receive(longWait); err != nil || got != "answer" {
			t.Errorf("the remote host received %q: %v", got, err)
		}
	})
	t.Run("no member binds a port of a range", func(t *testing.T) {
		s := must(h.member.TCP(h.out.Addr4))(t)
		defer s.Close()
		if err := s.Bind(netip.MustParseAddrPort("0.0.0.0:20511")); !errors.Is(err, unix.EPERM) {
			t.Errorf("bind: %v, want EPERM", err)
		}
		if err := s.Bind(netip.MustParseAddrPort("0.0.0.0:20512")); err != nil {
			t.Errorf("bind of the port after it: %v", err)
		}
	})
	t.Run("published at one address is not published at another", func(t *testing.T) {
		l := listen(t, h.ambassador, netip.MustParseAddrPort("0.0.0.0:8001"))
		defer l.Close()
		c := must(h.remote.TCP(h.out.Host4))(t)
		defer c.Close()
		if err := c.Connect(netip.AddrPortFrom(h.out.Host4, 8001), shortWait); err == nil {
			t.Error("connected")
		}
	})
}

// From outside and from the host only the ambassador is reached, and only on its published ports.
func TestRootInboundToOthersIsRefused(t *testing.T) {
	h := newHarness(t, withPublish)
	h.letMembersBind()
	h.routeToGroup()
	for name, addr := range h.families() {
		group, hostAddr := h.groupAddr(addr), h.out.Host4
		if addr.Is6() {
			hostAddr = h.out.Host6
		}
		tests := []struct {
			name   string
			owner  *netnstest.Helper
			listen uint16
			to     netip.AddrPort
			from   *netnstest.Helper
		}{
			{"a member on the published port", h.member, 443, netip.AddrPortFrom(hostAddr, 8443), h.remote},
			{"a member by the group's address", h.member, 8080, netip.AddrPortFrom(group, 8080), h.remote},
			{"a member by the group's address, from the host", h.member, 8080, netip.AddrPortFrom(group, 8080), h.host},
			{"a port of the ambassador that is not published", h.ambassador, 9001, netip.AddrPortFrom(group, 9001), h.remote},
			{"a port of the ambassador that is not published, from the host", h.ambassador, 9001, netip.AddrPortFrom(group, 9001), h.host},
		}
		for _, tt := range tests {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				l := listen(t, tt.owner, netip.AddrPortFrom(unspecified(addr), tt.listen))
				defer l.Close()
				c := must(tt.from.TCP(addr))(t)
				defer c.Close()
				if err := c.Connect(tt.to, shortWait); err == nil {
					t.Error("connected")
				}
				if _, err := l.Accept(0); !errors.Is(err, unix.ETIMEDOUT) {
					t.Errorf("accept: %v, want no caller", err)
				}
			})
		}
		t.Run(name+", a member's UDP socket on the published port", func(t *testing.T) {
			l := must(h.member.UDP(addr))(t)
			defer l.Close()
			if err := l.Bind(netip.AddrPortFrom(unspecified(addr), 53)); err != nil {
				t.Fatal(err)
			}
			c := must(h.remote.UDP(addr))(t)
			defer c.Close()
			if err := c.SendTo(netip.AddrPortFrom(hostAddr, 8053), "x"); err != nil {
				t.Fatal(err)
			}
			if got, _, err := l.Receive(shortWait); err == nil {
				t.Errorf("the member received %q", got)
			}
		})
		t.Run(name+", control inside the group", func(t *testing.T) {
			l := listen(t, h.member, netip.AddrPortFrom(group, 8080))
			defer l.Close()
			if err := exchange(t, h.ambassador, netip.AddrPortFrom(group, 8080), l); err != nil {
				t.Error(err)
			}
		})
	}
}

// routeToGroup adds routes to the group's addresses outside, as an attacker on the same network
// would.
func (h *harness) routeToGroup() {
	h.t.Helper()
	for _, family := range h.families() {
		host := h.out.Host4
		if family.Is6() {
			host = h.out.Host6
		}
		netnstest.Route(h.t, h.out.NS, h.groupAddr(family), host)
	}
}

// If the ambassador closes a connection, the other side closes as well. No socket sends the last
// ACK, so this needs the rules to let the kernel's own pass.
func TestRootClosesLeaveNothingBehind(t *testing.T) {
	h := newHarness(t, withPublish)
	l := listen(t, h.ambassador, netip.MustParseAddrPort("0.0.0.0:443"))
	to := netip.AddrPortFrom(h.out.Host4, 8443)
	const closes = 50
	for range closes {
		c := must(h.remote.TCP(to.Addr()))(t)
		if err := c.Connect(to, longWait); err != nil {
			t.Fatal(err)
		}
		a := must(l.Accept(longWait))(t)
		if err := a.Close(); err != nil { // the active close
			t.Fatal(err)
		}
		if got, _, err := c.Receive(longWait); err != nil || got != "" {
			t.Fatalf("received %q: %v, want the end", got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	netnstest.Eventually(t, "no remote connection is left in LAST-ACK", func() bool {
		return len(netnstest.Connections(t, h.out.NS, netnstest.LastAck)) == 0
	})
	c := must(h.remote.TCP(to.Addr()))(t)
	if err := c.Connect(to, longWait); err != nil {
		t.Fatal(err)
	}
	must(l.Accept(longWait))(t)
	h.ambassador.Kill()
	if got, _, err := c.Receive(longWait); got != "" || errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("after the ambassador was killed the remote host received %q: %v, want the end", got, err)
	}
	c2 := must(h.remote.TCP(to.Addr()))(t)
	if err := c2.Connect(to, shortWait); err == nil {
		t.Error("connected to a dead ambassador")
	}
}

// A caller may come again from a port whose last connection the ambassador has closed. Its SYN
// meets the TIME-WAIT of that connection and not the listener. If a member has the port all the
// same, the caller must not reach it.
func TestRootCallerReturnsDuringTimeWait(t *testing.T) {
	h := newHarness(t, withPublish)
	h.letMembersBind()
	to := netip.AddrPortFrom(h.out.Host4, 8443)
	from := netip.AddrPortFrom(h.out.Addr4, 50000)
	at := netip.MustParseAddrPort("0.0.0.0:443")
	call := func(wait time.Duration) (*netnstest.Socket, error) {
		t.Helper()
		c := must(h.remote.TCP(to.Addr()))(t)
		if err := errors.Join(c.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), c.Bind(from)); err != nil {
			t.Fatal(err)
		}
		return c, c.Connect(to, wait)
	}
	l := listen(t, h.ambassador, at)
	for i := range 3 {
		c, err := call(longWait)
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		a := must(l.Accept(longWait))(t)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Receive(longWait); err != nil || got != "" {
			t.Fatalf("received %q: %v, want the end", got, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		netnstest.Eventually(t, "the connection is in TIME-WAIT", func() bool {
			return len(netnstest.Connections(t, h.ns, netnstest.TimeWait)) == 1 && len(netnstest.Connections(t, h.out.NS, netnstest.LastAck)) == 0
		})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = listen(t, h.member, at)
	defer l.Close()
	if _, err := call(shortWait); err == nil {
		t.Error("connected to the member")
	}
	if _, err := l.Accept(0); !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("accept of the member: %v, want no caller", err)
	}
}
