package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

const interceptMark = 0x5a11 // the mark of the rules; a test's member has every capability and may set it

// segment returns a TCP header without options. It has no checksum, because no socket is to receive
// it.
func segment(from, to uint16, flags byte) string {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint32(b, 1000) // sequence
	b = binary.BigEndian.AppendUint32(b, 2000) // acknowledgement
	b = append(b, 5<<4, flags)
	b = binary.BigEndian.AppendUint16(b, 65535) // window
	return string(append(b, 0, 0, 0, 0))
}

// interceptTricks are attempts of a member to get outside instead of being intercepted. The capture
// shows whether one succeeds.
var interceptTricks = []struct {
	name string
	try  func(t *testing.T, h *harness, addr netip.Addr)
}{
	{"bound to eth0", func(t *testing.T, h *harness, addr netip.Addr) {
		for _, to := range []netip.AddrPort{
			netip.AddrPortFrom(addr, 443), netip.AddrPortFrom(addr, interceptPort),
			netip.AddrPortFrom(loopbackOf(addr), interceptPort), netip.AddrPortFrom(loopbackOf(addr), 443),
		} {
			tcp, udp := must(h.member.TCP(addr))(t), must(h.member.UDP(addr))(t)
			if err := errors.Join(tcp.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0"), udp.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0")); err != nil {
				t.Fatal(err)
			}
			if err := tcp.Connect(to, shortWait); err == nil {
				t.Errorf("connected to %s", to)
			}
			_ = udp.SendTo(to, "x")
			tcp.Close()
			udp.Close()
		}
	}},
	{"a foreign source address", func(t *testing.T, h *harness, addr netip.Addr) {
		level, freebind := unix.SOL_IPV6, unix.IPV6_FREEBIND
		if addr.Is4() {
			level, freebind = unix.SOL_IP, unix.IP_FREEBIND
		}
		for _, to := range []netip.AddrPort{netip.AddrPortFrom(addr, 443), netip.AddrPortFrom(loopbackOf(addr), interceptPort)} {
			c := must(h.member.TCP(addr))(t)
			if err := errors.Join(c.SetInt(level, freebind, 1), c.Bind(netip.AddrPortFrom(addr.Next(), 0))); err != nil {
				t.Fatal(err)
			}
			if err := c.Connect(to, shortWait); err == nil {
				t.Errorf("connected to %s", to)
			}
			c.Close()
		}
	}},
	{"a loopback source address", func(t *testing.T, h *harness, addr netip.Addr) {
		c := must(h.member.TCP(addr))(t)
		defer c.Close()
		if err := c.Bind(netip.AddrPortFrom(loopbackOf(addr), 0)); err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(netip.AddrPortFrom(addr, 443), shortWait); err == nil {
			t.Error("connected")
		}
	}},
	{"UDP to the ambassador's port", func(t *testing.T, h *harness, addr netip.Addr) {
		c := must(h.member.UDP(addr))(t)
		defer c.Close()
		if err := c.SendTo(netip.AddrPortFrom(addr, interceptPort), "x"); err == nil {
			t.Error("was sent")
		}
	}},
	{"the rules' own mark", func(t *testing.T, h *harness, addr netip.Addr) {
		tcp, udp := must(h.member.TCP(addr))(t), must(h.member.UDP(addr))(t)
		icmp := must(h.member.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
		for _, c := range []*netnstest.Socket{tcp, udp, icmp} {
			defer c.Close()
			if err := c.SetInt(unix.SOL_SOCKET, unix.SO_MARK, interceptMark); err != nil {
				t.Fatal(err)
			}
		}
		_ = tcp.Connect(netip.AddrPortFrom(addr, 443), shortWait) // intercepted, like any other
		if err := udp.SendTo(netip.AddrPortFrom(addr, 53), "x"); err == nil {
			t.Error("UDP was sent")
		}
		if err := icmp.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); err == nil {
			t.Error("ICMP was sent")
		}
	}},
	{"segments of no connection", func(t *testing.T, h *harness, addr netip.Addr) {
		raw := must(h.member.Socket(domain(addr), unix.SOCK_RAW, unix.IPPROTO_TCP))(t)
		defer raw.Close()
		for _, marked := range []int{0, interceptMark} {
			if err := raw.SetInt(unix.SOL_SOCKET, unix.SO_MARK, marked); err != nil {
				t.Fatal(err)
			}
			for _, flags := range []byte{0x02, 0x10, 0x12, 0x04, 0x14, 0x11, 0x18, 0} { // SYN, ACK, SYN ACK, RST, ...
				for _, from := range []uint16{443, interceptPort, 40000} {
					for _, to := range []uint16{443, interceptPort} {
						_ = raw.SendTo(netip.AddrPortFrom(addr, 0), segment(from, to, flags))
					}
				}
			}
		}
	}},
	{"segments on an intercepted flow", func(t *testing.T, h *harness, addr netip.Addr) {
		to := netip.AddrPortFrom(addr, 443)
		c := must(h.member.TCP(addr))(t)
		defer c.Close()
		if err := c.Connect(to, longWait); err != nil {
			t.Fatal(err)
		}
		own := must(c.Local())(t)
		raw := must(h.member.Socket(domain(addr), unix.SOCK_RAW, unix.IPPROTO_TCP))(t)
		defer raw.Close()
		for _, flags := range []byte{0x02, 0x10, 0x12, 0x04, 0x11} {
			_ = raw.SendTo(netip.AddrPortFrom(addr, 0), segment(own.Port(), 443, flags))
		}
	}},
	{"a killed process", func(t *testing.T, h *harness, addr netip.Addr) {
		to := netip.AddrPortFrom(addr, 443)
		for range 4 { // each is killed during a connection
			p := h.container(spec.App, "short-lived")
			if err := must(p.TCP(addr))(t).Connect(to, longWait); err != nil {
				t.Fatal(err)
			}
			p.Kill()
		}
	}},
}

// With interception nothing that a member sends is seen outside. This holds with the fence, and by
// the rules alone.
func TestRootInterceptTricks(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) { withIntercept(g); withPublish(g) })
	h.routeToGroup()
	for _, fence := range []string{"with the fence", "by the rules alone"} {
		if fence == "by the rules alone" {
			if err := egress.Unfence(h.net.cgroups, h.net.layout.CgroupParent(h.group.Name, spec.App)); err != nil {
				t.Fatal(err)
			}
		}
		for name, addr := range h.families() {
			for _, tt := range interceptTricks {
				t.Run(fence+", "+name+", "+tt.name, func(t *testing.T) {
					h.t = t
					l := h.interceptor(addr)
					h.capture.Forget()
					tt.try(t, h, addr)
					for { // answer and close each intercepted connection
						a, err := l.Accept(0)
						if err != nil {
							break
						}
						_ = a.Send("late")
						a.Close()
					}
					l.Close()
					h.expectNothingSent()
				})
			}
		}
	}
}

// A member that has the ambassador's port from before may accept intercepted connections. They stay
// inside the group, where members can connect to each other anyway. Nothing is seen outside.
func TestRootInterceptPortTakenByAMember(t *testing.T) {
	h := newHarness(t, withIntercept)
	h.letMembersBind()
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			l := listen(t, h.member, netip.AddrPortFrom(loopbackOf(addr), interceptPort))
			defer l.Close()
			if err := exchange(t, h.member, netip.AddrPortFrom(addr, 443), l); err != nil {
				t.Error(err)
			}
			h.expectNothingSent()
		})
	}
}
