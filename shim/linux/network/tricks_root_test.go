package network

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// An app that binds the ambassador's 4-tuple neither sends on its flow nor answers on it.
func TestRootFourTupleTrick(t *testing.T) {
	s := newHarness(t, nil)
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			server := must(s.remote.UDP(addr))(t)
			defer server.Close()
			at := netip.AddrPortFrom(addr, 53)
			if err := server.Bind(at); err != nil {
				t.Fatal(err)
			}
			own := netip.AddrPortFrom(s.groupAddr(addr), 40000)
			open := func(p *netnstest.Helper) *netnstest.Socket {
				c := must(p.UDP(addr))(t)
				if err := errors.Join(c.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), c.Bind(own), c.Connect(at, longWait)); err != nil {
					t.Fatal(err)
				}
				return c
			}
			honest := open(s.ambassador)
			defer honest.Close()
			if err := honest.Send("honest"); err != nil {
				t.Fatal(err)
			}
			got, from, err := server.Receive(longWait)
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
			if got, _, err := thief.Receive(shortWait); err == nil {
				t.Errorf("the member received %q on the ambassador's flow", got)
			}
			s.expectNothingSent()
		})
	}
}

// A member can't make the namespace itself forward: by way of loopback, with forwarding turned on behind our back.
func TestRootNamespaceDoesNotForward(t *testing.T) {
	s := newHarness(t, nil)
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
			s.expectNothingSent()
		})
	}
}

// The resets by which a member is refused don't leave either, whatever source address it claims.
func TestRootForeignSourceAddress(t *testing.T) {
	s := newHarness(t, nil)
	for name, claimed := range s.families() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			level, freebind := unix.SOL_IPV6, unix.IPV6_FREEBIND
			if claimed.Is4() {
				level, freebind = unix.SOL_IP, unix.IP_FREEBIND
			}
			c := must(s.member.TCP(claimed))(t)
			defer c.Close()
			if err := errors.Join(c.SetInt(level, freebind, 1), c.Bind(netip.AddrPortFrom(claimed, 0))); err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(netip.AddrPortFrom(claimed.Next(), 443), shortWait); err == nil {
				t.Error("connected")
			}
			s.expectNothingSent()
		})
	}
}

// A member that shares the ambassador's port and has every packet given to itself is given none: the rules take these packets
// for the ambassador's, the fence knows better.
func TestRootSharedPort(t *testing.T) {
	s := newHarness(t, withPublish)
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			host := s.out.Host4
			if addr.Is6() {
				host = s.out.Host6
			}
			share := func(p *netnstest.Helper) *netnstest.Socket {
				l := must(p.UDP(addr))(t)
				if err := errors.Join(l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), l.Bind(netip.AddrPortFrom(unspecified(addr), 53))); err != nil {
					t.Fatal(err)
				}
				return l
			}
			honest, thief := share(s.ambassador), share(s.member)
			defer honest.Close()
			defer thief.Close()
			send := func() {
				t.Helper()
				for range 32 { // each from another port, so that some are taken for the ambassador's
					c := must(s.remote.UDP(addr))(t)
					if err := c.SendTo(netip.AddrPortFrom(host, 8053), "x"); err != nil {
						t.Fatal(err)
					}
					c.Close()
				}
			}
			send()
			if _, _, err := honest.Receive(longWait); err != nil {
				t.Errorf("control: the ambassador receives nothing: %v", err)
			}
			if err := thief.PickAlways(1); err != nil {
				t.Fatal(err)
			}
			send()
			if got, _, err := thief.Receive(shortWait); err == nil {
				t.Errorf("the member received %q", got)
			}
		})
	}
}

// With every rule of the namespace gone members still neither send nor receive.
func TestRootFenceStandsWithoutRules(t *testing.T) {
	s := newHarness(t, withPublish)
	netnstest.NFT(t, s.ns, "", "flush", "ruleset")
	for name, addr := range s.families() {
		t.Run(name, func(t *testing.T) {
			s.t = t
			host := s.out.Host4
			if addr.Is6() {
				host = s.out.Host6
			}
			to := netip.AddrPortFrom(addr, 443)
			tcp, udp := must(s.member.TCP(addr))(t), must(s.member.UDP(addr))(t)
			icmp := must(s.member.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
			defer tcp.Close()
			defer udp.Close()
			defer icmp.Close()
			if err := tcp.Connect(to, shortWait); err == nil {
				t.Error("TCP connected")
			}
			if err := udp.SendTo(to, "x"); !errors.Is(err, unix.EPERM) {
				t.Errorf("UDP: %v, want EPERM", err)
			}
			if err := icmp.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); !errors.Is(err, unix.EPERM) {
				t.Errorf("ICMP: %v, want EPERM", err)
			}
			s.expectNothingSent()
			l := listen(t, s.member, netip.AddrPortFrom(unspecified(addr), 443))
			c := must(s.remote.TCP(addr))(t)
			if err := c.Connect(netip.AddrPortFrom(host, 8443), shortWait); err == nil {
				t.Error("a member was reached")
			}
			if err := errors.Join(l.Close(), c.Close()); err != nil {
				t.Fatal(err)
			}
			l = listen(t, s.ambassador, netip.AddrPortFrom(unspecified(addr), 443))
			defer l.Close()
			if err := exchange(t, s.remote, netip.AddrPortFrom(host, 8443), l); err != nil {
				t.Errorf("control: the ambassador is not reached: %v", err)
			}
			s.drain()
		})
	}
}
