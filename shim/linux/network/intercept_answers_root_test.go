package network

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// The kernel answers for a member's connection that is over: if the ambassador closes late, if it
// still sends after the member has closed, or if the member was killed. These answers stay inside.
// In the control the answers carry no mark, and one of them is seen outside.
func TestRootInterceptAnswersStayInside(t *testing.T) {
	h := newHarness(t, withIntercept)
	lo := netnstest.NewCapture(t, h.ns, "lo")
	outside := func(f netnstest.Frame) bool { return !f.Sent && f.Protocol == unix.IPPROTO_TCP }
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.openAndEndConnections(addr)
			h.makeKernelAnswer(addr, lo)
			h.expectNothingSent()
			for _, family := range []string{"ipv4", "ipv6"} {
				netnstest.Sysctl(t, h.ns, family+"/fwmark_reflect", "0")
			}
			h.makeKernelAnswer(addr, lo)
			if f := h.capture.Wait(outside); f.Dst != netip.AddrPortFrom(addr, 443) {
				t.Errorf("control: a segment to %s", f.Dst)
			}
			h.drain()
			bringUp(t, h.net, h.group)
			h.makeKernelAnswer(addr, lo)
			h.expectNothingSent()
		})
	}
}

// openAndEndConnections opens intercepted connections and ends them in different ways.
func (h *harness) openAndEndConnections(addr netip.Addr) {
	h.t.Helper()
	l := h.interceptor(addr)
	defer l.Close()
	for _, late := range []bool{false, true} {
		for _, end := range []func(p *netnstest.Helper, c *netnstest.Socket){
			func(_ *netnstest.Helper, c *netnstest.Socket) { c.Close() },
			func(p *netnstest.Helper, _ *netnstest.Socket) { p.Kill() },
		} {
			p := h.container(spec.App, "short-lived")
			c, a := h.open(p, l, addr)
			if late {
				_ = a.Send("unread")
			}
			end(p, c)
			if late {
				_ = a.Send("late")
				_ = a.Send("later")
			}
			a.Close()
			p.Kill()
		}
	}
}

// open opens an intercepted connection of the member p.
func (h *harness) open(p *netnstest.Helper, l *netnstest.Socket, addr netip.Addr) (member, ambassador *netnstest.Socket) {
	h.t.Helper()
	member = must(p.TCP(addr))(h.t)
	if err := member.Connect(netip.AddrPortFrom(addr, 443), longWait); err != nil {
		h.t.Fatal(err)
	}
	return member, must(l.Accept(longWait))(h.t)
}

// makeKernelAnswer makes the kernel answer for a member's connection in TIME-WAIT. The ambassador's
// FIN comes a second time, as if the first answer was lost.
func (h *harness) makeKernelAnswer(addr netip.Addr, lo *netnstest.Capture) {
	h.t.Helper()
	l := h.interceptor(addr)
	defer l.Close()
	c, a := h.open(h.member, l, addr)
	own := must(c.Local())(h.t)
	c.Close()
	a.Close()
	fin := lo.Wait(func(f netnstest.Frame) bool {
		return f.Src == netip.AddrPortFrom(addr, 443) && f.Dst == own && flagsOf(f)&0x01 != 0
	})
	raw := must(h.ambassador.Socket(domain(addr), unix.SOCK_RAW, unix.IPPROTO_RAW))(h.t)
	defer raw.Close()
	if err := raw.SendTo(netip.AddrPortFrom(own.Addr(), 0), string(asSent(fin))); err != nil {
		h.t.Fatal(err)
	}
}

func transport(f netnstest.Frame) []byte {
	if f.Ether == unix.ETH_P_IP {
		return f.Bytes[14+20:]
	}
	return f.Bytes[14+40:]
}

func flagsOf(f netnstest.Frame) byte {
	if f.Protocol != unix.IPPROTO_TCP {
		return 0
	}
	return transport(f)[13]
}

// asSent returns the packet of a loopback frame as the ambassador sent it: with the ambassador's
// own source address. It computes the checksum, which the kernel leaves to the link.
func asSent(f netnstest.Frame) []byte {
	src, dst := loopbackOf(f.Src.Addr()).AsSlice(), f.Dst.Addr().AsSlice()
	offset := 14 + 8
	if f.Ether == unix.ETH_P_IP {
		offset = 14 + 12
	}
	copy(f.Bytes[offset:], src)
	segment := transport(f)
	binary.BigEndian.PutUint16(segment, interceptPort)
	segment[16], segment[17] = 0, 0
	pseudo := binary.BigEndian.AppendUint32(append(src, dst...), uint32(len(segment)))
	pseudo = append(binary.BigEndian.AppendUint32(pseudo, unix.IPPROTO_TCP), segment...)
	var sum uint32
	for i := 0; i < len(pseudo); i += 2 { // an even number of bytes: a header with its options
		sum += uint32(binary.BigEndian.Uint16(pseudo[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(segment[16:], ^uint16(sum))
	return f.Bytes[14:]
}
