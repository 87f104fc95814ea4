package uplink

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A group with NET_RAW sends neighbour discovery that is not for the host's end of its link. It
// does not get out, whatever its source. The controls: an echo request by the same socket gets out,
// and a solicitation for the host's address is answered.
func TestRootNeighbourDiscoveryStaysOnTheLink(t *testing.T) {
	s := newHarness(t)
	own6, foreign := s.one.Group[1], netip.MustParseAddr("2001:db8:77::7")
	netnstest.AddAddress(t, s.groupNS, "eth0", netip.PrefixFrom(foreign, 128).String())
	outside, link := netnstest.NewCapture(t, s.out.NS, "eth0"), netnstest.NewCapture(t, s.groupNS, "eth0")
	const solicitation, advertisement, echo = 135, 136, 128
	icmp := func(f netnstest.Frame, kind byte) bool {
		return f.Protocol == unix.IPPROTO_ICMPV6 && len(f.Bytes) > 54 && f.Bytes[54] == kind
	}
	send := func(kind byte, from, to, about netip.Addr) {
		t.Helper()
		c := must(s.group.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6))(t)
		defer c.Close()
		message := []byte{kind, 0, 0, 0, 0, 0, 0, 0} // the kernel fills in the checksum
		if kind != echo {
			message = append(message, about.AsSlice()...)
		}
		if err := errors.Join(
			c.SetInt(unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, 255),
			c.SetInt(unix.SOL_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
			c.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0"),
			freebind(c, netip.AddrPortFrom(from, 0)),
			c.SendTo(netip.AddrPortFrom(to, 0), string(message)),
		); err != nil {
			t.Fatal(err)
		}
	}
	before := s.spoofed()
	for _, kind := range []byte{solicitation, advertisement} {
		for _, from := range []netip.Addr{foreign, own6} {
			send(kind, from, s.out.Addr6, s.out.Addr6)
		}
	}
	send(echo, own6, s.out.Addr6, netip.Addr{})
	// The link keeps the order: the echo request comes after all that went before.
	outside.Wait(func(f netnstest.Frame) bool { return !f.Sent && icmp(f, echo) })
	if got := s.spoofed() - before; got < 2 { // the group's kernel may send more from fe80::/10
		t.Errorf("%d packets were counted as spoofed, want the two from %s", got, foreign)
	}
	// The host's own questions to the outside have the hop limit 255; a forwarded packet has less.
	for _, f := range outside.Frames(func(f netnstest.Frame) bool {
		return !f.Sent && (icmp(f, solicitation) || icmp(f, advertisement)) && (f.Src.Addr() == foreign || f.Dst.Addr() == s.out.Addr6 && f.Bytes[21] != 255)
	}) {
		t.Errorf("ICMPv6 type %d from %s got out", f.Bytes[54], f.Src.Addr())
	}

	solicited := netip.MustParseAddr("ff02::1:ff00:0") // of the host's end, fd5a::
	for _, to := range []netip.Addr{s.gateway6, solicited} {
		link.Forget()
		send(solicitation, own6, to, s.gateway6)
		link.Wait(func(f netnstest.Frame) bool { return !f.Sent && icmp(f, advertisement) && f.Src.Addr() == s.gateway6 })
	}
}
