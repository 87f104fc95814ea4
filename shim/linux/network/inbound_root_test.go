package network

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

func (h *harness) inbound() []host.Denial {
	h.t.Helper()
	c := h.net.Counts([]string{h.group.Name})[0]
	if c.Err != nil {
		h.t.Fatal(c.Err)
	}
	return c.Inbound
}

// expectInbound compares what was dropped on its way in. It ignores the number of bytes.
func (h *harness) expectInbound(want ...host.Denial) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.inbound(), cmpopts.IgnoreFields(host.Denial{}, "Bytes"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		h.t.Errorf("dropped on the way in (-want +got):\n%s", diff)
	}
}

func dropped(from netip.Addr, protocol string, to netip.AddrPort, packets uint64) host.Denial {
	return host.Denial{Source: from, Protocol: protocol, Destination: to, Packets: packets}
}

// send sends one datagram.
func send(t *testing.T, p *netnstest.Helper, to netip.AddrPort) {
	t.Helper()
	c := must(p.UDP(to.Addr()))(t)
	defer c.Close()
	if err := c.SendTo(to, "x"); err != nil {
		t.Errorf("send to %s: %v", to, err)
	}
}

// What is dropped on its way in is listed by source, protocol and port: by the host's rules, those
// of the namespace, and between groups. What comes in is not.
func TestRootInboundDenials(t *testing.T) {
	h := newHarness(t, withPublish)
	h.routeToGroup()
	served := listen(t, h.ambassador, netip.MustParseAddrPort("[::]:443"))
	for _, to := range []netip.Addr{h.out.Host4, h.out.Host6} {
		if err := exchange(t, h.remote, netip.AddrPortFrom(to, 8443), served); err != nil {
			t.Errorf("control: %v", err)
		}
	}
	h.expectInbound()

	var want []host.Denial
	for _, from := range []netip.Addr{h.out.Addr4, h.out.Addr6} {
		own, published := h.groupAddr(from), h.out.Host4
		if from.Is6() {
			published = h.out.Host6
		}
		send(t, h.remote, netip.AddrPortFrom(own, 9)) // the host's rules stop it
		send(t, h.remote, netip.AddrPortFrom(own, 9))
		ping := must(h.remote.Socket(domain(from), unix.SOCK_RAW, icmpProtocol(from)))(t)
		if err := ping.SendTo(netip.AddrPortFrom(own, 0), string(echoRequest(from))); err != nil {
			t.Error(err)
		}
		send(t, h.remote, netip.AddrPortFrom(published, 8053)) // no process listens
		icmp := map[bool]string{true: "icmp", false: "ipv6-icmp"}[from.Is4()]
		want = append(want, dropped(from, icmp, netip.AddrPortFrom(own, 0), 1), dropped(from, "udp", netip.AddrPortFrom(own, 9), 2), dropped(from, "udp", netip.AddrPortFrom(own, 53), 1))
	}
	for i := 1; i < len(want); i += 3 { // in the order of ports
		want[i], want[i+1] = want[i+1], want[i]
		if want[i].Destination.Port() > want[i+1].Destination.Port() {
			want[i], want[i+1] = want[i+1], want[i]
		}
	}
	h.expectInbound(want...)
	h.expectDenials()

	other := testGroup("other", nil)
	defer removeGroup(t, h.net, other.Name)
	bringUp(t, h.net, other)
	ns := must(h.net.open(other.Name))(t)
	defer ns.Close()
	cgroup := h.net.layout.CgroupPath(other.Name, spec.Ambassador, "proxy")
	must(h.net.cgroups.Make(cgroup))(t)
	neighbour := netnstest.NewHelper(t, ns, cgroup)
	defer neighbour.Kill()
	own := h.groupAddr(h.out.Addr4)
	send(t, neighbour, netip.AddrPortFrom(own, 443))
	theirs := must(h.net.pair(other.Name))(t)
	want = append([]host.Denial{dropped(theirs.Group4, "udp", netip.AddrPortFrom(own, 443), 1)}, want...)
	h.expectInbound(want...)
	h.expectDenialsOf(other.Name, denial("proxy", "udp", netip.AddrPortFrom(own, 443), 1))

	// A flood from many sources to many ports takes few places. All of its packets are counted, an
	// earlier source is still counted by itself, and so are tries of the group.
	const packets = 5000
	flood := must(h.remote.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW))(t)
	for i := range packets {
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(3 + i%250)})
		if err := flood.SendTo(netip.AddrPortFrom(own, 0), string(datagram(from, own, uint16(1000+i)))); err != nil {
			t.Fatal(err)
		}
	}
	send(t, h.remote, netip.AddrPortFrom(own, 9))
	tryToSend(t, h.member, netip.AddrPortFrom(h.out.Addr4, 443))
	var all, ofNone, known uint64
	got := h.inbound()
	for _, d := range got {
		all += d.Packets
		switch {
		case !d.Source.IsValid():
			ofNone += d.Packets
		case d.Source == h.out.Addr4 && d.Destination.Port() == 9:
			known += d.Packets
		}
	}
	if before := uint64(9); all != before+1+packets || ofNone < packets/2 || known != 3 || len(got) > 200 {
		t.Errorf("%d packets of %d sources, %d of them without one, and %d of the known source; want %d, at most 200, most, and 3", all, len(got), ofNone, known, before+1+packets)
	}
	h.expectDenials(denial("web", "tcp", netip.AddrPortFrom(h.out.Addr4, 443), 1), denial("web", "udp", netip.AddrPortFrom(h.out.Addr4, 443), 1))
	if err := exchange(t, h.remote, netip.AddrPortFrom(h.out.Host4, 8443), served); err != nil {
		t.Errorf("a caller after the flood: %v", err)
	}

	// The groups' addresses can't be read: they are asked for once, and what they are not needed
	// for is there all the same.
	asked, whole := 0, h.net.Counts([]string{h.group.Name, other.Name})
	h.net.sources = func() (map[string][]netip.Addr, error) { asked++; return nil, errors.New("no answer") }
	for i, c := range h.net.Counts([]string{h.group.Name, other.Name}) {
		if c.Err == nil || errors.Is(c.Err, os.ErrNotExist) || !strings.Contains(c.Err.Error(), "no answer") || len(c.Inbound) > 0 || len(c.Denials) != len(whole[i].Denials) || len(c.Denials) == 0 {
			t.Errorf("without the groups' addresses: %+v; with them: %d denials", c, len(whole[i].Denials))
		}
	}
	if asked != 1 {
		t.Errorf("they were asked for %d times, want once", asked)
	}
}

// datagram returns an IPv4 packet with an empty UDP datagram. The kernel fills in the checksum of
// its header.
func datagram(from, to netip.Addr, port uint16) []byte {
	b := make([]byte, 28)
	b[0], b[3], b[8], b[9] = 0x45, 28, 64, unix.IPPROTO_UDP
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	binary.BigEndian.PutUint16(b[20:], 40000)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint16(b[24:], 8)
	return b
}
