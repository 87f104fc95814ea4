package network

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A member that binds the ambassador's 4-tuple can neither send on that flow nor receive on it.
func TestRootFourTupleTrick(t *testing.T) {
	h := newHarness(t, nil)
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			server := must(h.remote.UDP(addr))(t)
			defer server.Close()
			at := netip.AddrPortFrom(addr, 53)
			if err := server.Bind(at); err != nil {
				t.Fatal(err)
			}
			own := netip.AddrPortFrom(h.groupAddr(addr), 40000)
			open := func(p *netnstest.Helper) *netnstest.Socket {
				c := must(p.UDP(addr))(t)
				if err := errors.Join(c.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), c.Bind(own), c.Connect(at, longWait)); err != nil {
					t.Fatal(err)
				}
				return c
			}
			honest := open(h.ambassador)
			defer honest.Close()
			if err := honest.Send("honest"); err != nil {
				t.Fatal(err)
			}
			got, from, err := server.Receive(longWait)
			if err != nil || got != "honest" {
				t.Fatalf("control: received %q: %v", got, err)
			}
			h.drain()
			thief := open(h.member)
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
			h.expectNothingSent()
		})
	}
}

// A member can't make the namespace forward its packets by way of loopback, even if forwarding was
// turned on behind our back.
func TestRootNamespaceDoesNotForward(t *testing.T) {
	h := newHarness(t, nil)
	netnstest.Sysctl(t, h.ns, "ipv4/ip_forward", "1")
	netnstest.Sysctl(t, h.ns, "ipv6/conf/all/forwarding", "1")
	netnstest.Sysctl(t, h.ns, "ipv4/conf/lo/accept_local", "1")
	netnstest.Sysctl(t, h.ns, "ipv4/conf/all/rp_filter", "0")
	netnstest.Sysctl(t, h.ns, "ipv4/conf/lo/rp_filter", "0")
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			c := must(h.member.UDP(addr))(t)
			defer c.Close()
			if err := c.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"); err != nil {
				t.Fatal(err)
			}
			_ = c.SendTo(netip.AddrPortFrom(addr, 53), "by way of lo")
			h.expectNothingSent()
		})
	}
}

// The resets that refuse a member don't leave either, from any source address that it claims.
func TestRootForeignSourceAddress(t *testing.T) {
	h := newHarness(t, nil)
	for name, claimed := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			level, freebind := unix.SOL_IPV6, unix.IPV6_FREEBIND
			if claimed.Is4() {
				level, freebind = unix.SOL_IP, unix.IP_FREEBIND
			}
			c := must(h.member.TCP(claimed))(t)
			defer c.Close()
			if err := errors.Join(c.SetInt(level, freebind, 1), c.Bind(netip.AddrPortFrom(claimed, 0))); err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(netip.AddrPortFrom(claimed.Next(), 443), shortWait); err == nil {
				t.Error("connected")
			}
			h.expectNothingSent()
		})
	}
}

// A member shares the ambassador's port and makes the kernel pick its socket for every packet. The
// rules take these packets for the ambassador's. The fence drops them. The member has bound the
// port before it was the ambassador's.
func TestRootSharedPort(t *testing.T) {
	h := newHarness(t, withPublish)
	h.letMembersBind()
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			host := h.out.Host4
			if addr.Is6() {
				host = h.out.Host6
			}
			share := func(p *netnstest.Helper) *netnstest.Socket {
				l := must(p.UDP(addr))(t)
				if err := errors.Join(l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), l.Bind(netip.AddrPortFrom(unspecified(addr), 53))); err != nil {
					t.Fatal(err)
				}
				return l
			}
			honest, thief := share(h.ambassador), share(h.member)
			defer honest.Close()
			defer thief.Close()
			send := func() {
				t.Helper()
				for range 32 { // each from another port, so that the rules take some for the ambassador's
					c := must(h.remote.UDP(addr))(t)
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

// Without any rules in the namespace members still can neither send nor receive.
func TestRootFenceStandsWithoutRules(t *testing.T) {
	h := newHarness(t, withPublish)
	h.letMembersBind()
	netnstest.NFT(t, h.ns, "", "flush", "ruleset")
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			host := h.out.Host4
			if addr.Is6() {
				host = h.out.Host6
			}
			to := netip.AddrPortFrom(addr, 443)
			tcp, udp := must(h.member.TCP(addr))(t), must(h.member.UDP(addr))(t)
			icmp := must(h.member.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
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
			h.expectNothingSent()
			l := listen(t, h.member, netip.AddrPortFrom(unspecified(addr), 443))
			c := must(h.remote.TCP(addr))(t)
			if err := c.Connect(netip.AddrPortFrom(host, 8443), shortWait); err == nil {
				t.Error("a member was reached")
			}
			if err := errors.Join(l.Close(), c.Close()); err != nil {
				t.Fatal(err)
			}
			l = listen(t, h.ambassador, netip.AddrPortFrom(unspecified(addr), 443))
			defer l.Close()
			if err := exchange(t, h.remote, netip.AddrPortFrom(host, 8443), l); err != nil {
				t.Errorf("control: the ambassador is not reached: %v", err)
			}
			h.drain()
		})
	}
}
