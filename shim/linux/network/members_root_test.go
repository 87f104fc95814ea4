package network

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A member's packets are refused at once, and none of them leaves. The ambassador gets through.
func TestRootMembersAreRefusedAtOnce(t *testing.T) {
	h := newHarness(t, nil)
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			to := netip.AddrPortFrom(addr, 443)
			l := listen(t, h.remote, to)
			defer l.Close()

			if err := exchange(t, h.ambassador, to, l); err != nil {
				t.Fatalf("control: the ambassador does not get through: %v", err)
			}
			h.drain()

			refusedAtOnce(t, h.member, to)
			udp := must(h.member.UDP(addr))(t)
			defer udp.Close()
			if err := udp.SendTo(to, "x"); err == nil {
				t.Error("UDP was sent")
			}
			icmp := must(h.member.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
			defer icmp.Close()
			if err := icmp.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); err == nil {
				t.Error("ICMP was sent")
			}
			h.expectNothingSent()

			raw := must(h.ambassador.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
			defer raw.Close()
			if err := raw.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); err != nil {
				t.Errorf("control: ICMP of the ambassador: %v", err)
			}
			h.capture.Wait(func(f netnstest.Frame) bool {
				return !f.Sent && int(f.Protocol) == icmpProtocol(addr) && f.Dst.Addr() == addr
			})
			h.drain()
		})
	}
	c, err := h.net.Counters(h.group.Name)
	if err != nil {
		t.Fatal(err)
	}
	if c.MembersTCP.Packets != 2 || c.MembersOther.Packets != 4 || c.AmbassadorOut.Packets == 0 {
		t.Errorf("counters are %+v; want 2 TCP packets and 4 others from members", c)
	}
}
