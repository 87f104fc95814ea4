package uplink

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// No packet that comes by a link reaches a published port through a loopback address, also on a
// host that routes these (route_localnet). The frames are written by hand, as a neighbour can write
// them. The controls: the host reaches both ports at 127.0.0.1, and a neighbour the one that is
// published at all addresses, by frames of the same kind.
func TestRootLoopbackIsReachedFromNoLink(t *testing.T) {
	s := newHarness(t)
	const atLoopback, everywhere = 5300, 5301 // both lead to port 53 of the group
	s.one.Publish = []Publish{
		{Protocol: "udp", Address: netip.MustParseAddr("127.0.0.1"), Host: atLoopback, Port: 53},
		{Protocol: "udp", Host: everywhere, Port: 53},
	}
	// The other group may ask for them, as far as its allow list goes.
	s.two.Allow = []ruleset.Endpoint{endpoint(t, "127.0.0.1:5300"), endpoint(t, "127.0.0.1:5301"), endpoint(t, "[::1]:5301")}
	put(t, s.uplink, s.one, s.two)
	sink := must(s.group.UDP(netip.IPv6Unspecified()))(t)
	defer sink.Close()
	if err := sink.Bind(netip.AddrPortFrom(netip.IPv6Unspecified(), 53)); err != nil {
		t.Fatal(err)
	}
	lan := frames{ns: s.out.NS, by: s.out.Link, from4: s.out.Addr4, from6: s.out.Addr6}
	group := frames{ns: s.neighbourNS, by: s.two.Link, from4: s.neighbour4, from6: s.neighbour6}
	forged := lan
	forged.from4, forged.from6 = netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	for _, link := range []string{s.one.Link, s.two.Link} { // as package netns has them
		netnstest.Sysctl(t, own(t), "ipv4/conf/"+link+"/route_localnet", "1")
	}
	for _, routed := range []string{"0", "1"} {
		netnstest.Sysctl(t, own(t), "ipv4/conf/all/route_localnet", routed)
		for _, tt := range []struct {
			name   string
			by     *frames // nil: the host
			to     netip.AddrPort
			passes bool
		}{
			{"the host to 127.0.0.1", nil, netip.MustParseAddrPort("127.0.0.1:5300"), true},
			{"the host to 127.0.0.1, all addresses", nil, netip.MustParseAddrPort("127.0.0.1:5301"), true},
			{"the host to 127.1.2.3, all addresses", nil, netip.MustParseAddrPort("127.1.2.3:5301"), true},
			{"a neighbour to 127.0.0.1", &lan, netip.MustParseAddrPort("127.0.0.1:5300"), false},
			{"a neighbour to 127.0.0.1, all addresses", &lan, netip.MustParseAddrPort("127.0.0.1:5301"), false},
			{"a neighbour to 127.1.2.3, all addresses", &lan, netip.MustParseAddrPort("127.1.2.3:5301"), false},
			{"a neighbour to ::1, all addresses", &lan, netip.MustParseAddrPort("[::1]:5301"), false},
			{"a neighbour to the host", &lan, netip.AddrPortFrom(s.out.Host4, everywhere), true},
			{"a neighbour to the host, IPv6", &lan, netip.AddrPortFrom(s.out.Host6, everywhere), true},
			{"a neighbour to the host, not published there", &lan, netip.AddrPortFrom(s.out.Host4, atLoopback), false},
			{"a neighbour as 127.0.0.1", &forged, netip.AddrPortFrom(s.out.Host4, everywhere), false},
			{"a neighbour as ::1", &forged, netip.AddrPortFrom(s.out.Host6, everywhere), false},
			{"another group to 127.0.0.1", &group, netip.MustParseAddrPort("127.0.0.1:5300"), false},
			{"another group to 127.0.0.1, all addresses", &group, netip.MustParseAddrPort("127.0.0.1:5301"), false},
			{"another group to ::1, all addresses", &group, netip.MustParseAddrPort("[::1]:5301"), false},
		} {
			t.Run(tt.name+", route_localnet "+routed, func(t *testing.T) {
				if tt.by != nil {
					tt.by.send(t, tt.to)
				} else {
					c := must(s.host.UDP(tt.to.Addr()))(t)
					defer c.Close()
					if err := c.SendTo(tt.to, "x"); err != nil {
						t.Fatal(err)
					}
				}
				if _, _, err := sink.Receive(wait(tt.passes)); (err == nil) != tt.passes {
					t.Errorf("a datagram to %s arrives: %v, want %v", tt.to, err == nil, tt.passes)
				}
			})
		}
	}
}

// frames are UDP datagrams that a namespace puts on its end of a link by itself, without asking the
// kernel for a route.
type frames struct {
	ns           *os.File // the link is its eth0
	by           string   // the host's end of the link
	from4, from6 netip.Addr
}

var lastPort uint16 = 40000

func (f frames) send(t *testing.T, to netip.AddrPort) {
	t.Helper()
	from, ether := f.from4, uint16(unix.ETH_P_IP)
	if to.Addr().Is6() {
		from, ether = f.from6, unix.ETH_P_IPV6
	}
	host := must(netlink.LinkByName(f.by))(t)
	lastPort++ // each is a flow of its own
	packet := datagram(netip.AddrPortFrom(from, lastPort), to)
	netnstest.In(t, f.ns, func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		at := &unix.SockaddrLinklayer{Ifindex: eth0.Attrs().Index, Halen: 6,
			Protocol: binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, ether))}
		copy(at.Addr[:], host.Attrs().HardwareAddr)
		return errors.Join(unix.Sendto(fd, packet, 0, at), unix.Close(fd))
	})
}

// datagram returns an IP packet with a UDP datagram of one byte.
func datagram(from, to netip.AddrPort) []byte {
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = append(udp, 0, 9, 0, 0, 'x')
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	if from.Addr().Is6() {
		sum := checksum(src, dst, []byte{0, 0, 0, 9, 0, 0, 0, unix.IPPROTO_UDP}, udp, []byte{0})
		binary.BigEndian.PutUint16(udp[6:], sum)
		head := []byte{0x60, 0, 0, 0, 0, 9, unix.IPPROTO_UDP, 64}
		return append(append(append(head, src...), dst...), udp...)
	}
	head := []byte{0x45, 0, 0, 29, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0} // UDP without a checksum
	head = append(append(head, src...), dst...)
	binary.BigEndian.PutUint16(head[10:], checksum(head))
	return append(head, udp...)
}

// checksum is that of RFC 1071. All parts but the last two together have an even length.
func checksum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	var sum uint32
	for i := 0; i+1 < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
