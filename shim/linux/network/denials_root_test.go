package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// tryToSend sends one datagram to each address and tries to open one connection.
func tryToSend(t *testing.T, p *netnstest.Helper, to ...netip.AddrPort) {
	t.Helper()
	for _, a := range to {
		udp := must(p.UDP(a.Addr()))(t)
		_ = udp.SendTo(a, "x")
		tcp := must(p.TCP(a.Addr()))(t)
		_ = tcp.Connect(a, shortWait)
		if err := errors.Join(udp.Close(), tcp.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// expectDenials compares the denials of the group. It ignores the number of bytes.
func (h *harness) expectDenials(want ...host.Denial) {
	h.t.Helper()
	h.expectDenialsIn(h.net, want...)
}

func (h *harness) expectDenialsIn(n *Network, want ...host.Denial) {
	h.t.Helper()
	h.compareDenials(n, h.group.Name, want...)
}

// expectDenialsOf is [harness.expectDenials] for another group.
func (h *harness) expectDenialsOf(group string, want ...host.Denial) {
	h.t.Helper()
	h.compareDenials(h.net, group, want...)
}

func (h *harness) compareDenials(n *Network, group string, want ...host.Denial) {
	h.t.Helper()
	got, err := n.Denials(group)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range got {
		if d.Bytes < 20*d.Packets {
			h.t.Errorf("%d bytes in %d packets to %s", d.Bytes, d.Packets, d.Destination)
		}
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(host.Denial{}, "Bytes"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		h.t.Errorf("denials (-want +got):\n%s", diff)
	}
}

func denial(container, protocol string, to netip.AddrPort, packets uint64) host.Denial {
	return host.Denial{Container: container, Protocol: protocol, Destination: to, Packets: packets}
}

// Packets that are refused are listed by container, protocol and destination. Others are not
// listed.
func TestRootDenials(t *testing.T) {
	h := newHarness(t, nil)
	v4, v6 := netip.AddrPortFrom(h.out.Addr4, 443), netip.AddrPortFrom(h.out.Addr6, 443)
	tryToSend(t, h.ambassador, v4, v6)
	h.expectDenials()

	tryToSend(t, h.member, v4, v6)
	for _, a := range []netip.Addr{v4.Addr(), v6.Addr()} {
		icmp := must(h.member.Socket(domain(a), unix.SOCK_RAW, icmpProtocol(a)))(t)
		_ = icmp.SendTo(netip.AddrPortFrom(a, 0), string(echoRequest(a)))
	}
	shipper := h.container(spec.Sidecar, "shipper")
	tryToSend(t, shipper, v4)
	tryToSend(t, shipper, v4)
	want := []host.Denial{
		denial("shipper", "tcp", v4, 2),
		denial("shipper", "udp", v4, 2),
		denial("web", "icmp", netip.AddrPortFrom(v4.Addr(), 0), 1),
		denial("web", "ipv6-icmp", netip.AddrPortFrom(v6.Addr(), 0), 1),
		denial("web", "tcp", v4, 1), denial("web", "tcp", v6, 1),
		denial("web", "udp", v4, 1), denial("web", "udp", v6, 1),
	}
	h.expectDenials(want...)

	// A change of policy keeps the denials. So does the end of a container.
	h.group.Ambassador().Allow = []spec.Allow{{Prefix: "203.0.113.7/32", Port: 1, Protocol: "tcp"}}
	bringUp(t, h.net, h.group)
	h.expectDenials(want...)
	shipper.Kill()
	cgroup := h.net.layout.CgroupPath(h.group.Name, spec.Sidecar, "shipper")
	netnstest.Eventually(t, "the container's cgroup is gone", func() bool { return h.net.cgroups.Remove(cgroup) == nil })
	h.expectDenials(want...)

	// A container that starts again adds to its counts. The ambassador now has an allow list to
	// violate. Another process knows the names of all containers, also of those that have ended.
	shipper = h.container(spec.Sidecar, "shipper")
	tryToSend(t, shipper, v4)
	tryToSend(t, h.ambassador, v6)
	want[0].Packets, want[1].Packets = 3, 3
	want = append([]host.Denial{denial("proxy", "tcp", v6, 1), denial("proxy", "udp", v6, 1)}, want...)
	h.expectDenials(want...)
	shipper.Kill()
	h.expectDenialsIn(newNetwork(t, h.net.layout), want...)

	// Without the cgroup above the runtime's, as with an older daemon, a start has another number.
	whole := h.net.layout.ContainerCgroup(h.group.Name, spec.Sidecar, "shipper")
	netnstest.Eventually(t, "the cgroup above is gone", func() bool { return h.net.cgroups.Remove(whole) == nil })
	tryToSend(t, h.container(spec.Sidecar, "shipper"), v4)
	want[2].Packets, want[3].Packets = 4, 4
	h.expectDenials(want...)
	again, err := newNetwork(t, h.net.layout).Denials(h.group.Name)
	if err != nil || len(again) != len(want)+2 || again[0].Container != "" {
		t.Errorf("a new process reads %v, %v; want the earlier starts of the shipper without their name", again, err)
	}
	if _, err := h.net.Denials("absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("denials of an absent group: %v, want os.ErrNotExist", err)
	}
}

// The host's rules refuse packets that those of the namespace let pass. They count for the
// ambassador, even after it has ended.
func TestRootDenialsOfTheHost(t *testing.T) {
	h := newHarness(t, nil)
	ssh, metadata := netip.AddrPortFrom(h.out.Host4, 22), netip.MustParseAddrPort("[fd00:ec2::254]:80")
	tryToSend(t, h.ambassador, netip.AddrPortFrom(h.out.Addr4, 443)) // control: this passes
	h.expectDenials()

	tryToSend(t, h.ambassador, ssh, metadata)
	tryToSend(t, h.member, ssh)
	want := []host.Denial{
		denial("proxy", "tcp", ssh, 1), denial("proxy", "tcp", metadata, 1),
		denial("proxy", "udp", ssh, 1), denial("proxy", "udp", metadata, 1),
		denial("web", "tcp", ssh, 1), denial("web", "udp", ssh, 1),
	}
	h.expectDenials(want...)
	h.ambassador.Kill()
	cgroup := h.net.layout.CgroupParent(h.group.Name, spec.Ambassador) + "/proxy"
	netnstest.Eventually(t, "the ambassador's cgroup is gone", func() bool { return h.net.cgroups.Remove(cgroup) == nil })
	h.expectDenials(want...)
}

// If a member tries thousands of destinations, the kernel remembers at most 1024 of them. Each
// packet is still refused at once and counted. The ambassador is not affected.
func TestRootDenialsUnderAFlood(t *testing.T) {
	h := newHarness(t, nil)
	to := netip.AddrPortFrom(h.out.Addr4, 443)
	l := listen(t, h.remote, to)
	defer l.Close()
	const destinations = 5000
	c := must(h.member.UDP(to.Addr()))(t)
	var slowest time.Duration
	for i := range destinations {
		addr := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0xcb007100+uint32(i))))
		if err := c.SendTo(netip.AddrPortFrom(addr, 9), "x"); err == nil {
			t.Fatalf("a datagram to %s was sent", addr)
		}
		slowest = max(slowest, c.Took)
		if i%1000 == 0 {
			if err := exchange(t, h.ambassador, to, l); err != nil {
				t.Fatalf("the ambassador, after %d destinations: %v", i, err)
			}
		}
	}
	got, err := h.net.Denials(h.group.Name)
	if err != nil || len(got) == 0 || len(got) > 1024 {
		t.Errorf("%d destinations are remembered, %v; want at most 1024", len(got), err)
	}
	tries := refusedAtOnce(t, h.member, to) // after the flood
	counts, err := h.net.Counters(h.group.Name)
	if err != nil || counts.MembersOther.Packets != destinations || counts.MembersTCP.Packets != tries {
		t.Errorf("counters are %+v, %v; want every packet counted", counts, err)
	}
	t.Logf("%d remembered, slowest refusal after %s", len(got), slowest)
}

// The names of containers that exist or were refused something are kept, after any number of
// starts.
func TestNamesAreLimited(t *testing.T) {
	n := &Network{names: map[string]cgroupNames{"g": {}}}
	n.cgroups.V2 = t.TempDir()
	for id := range uint64(maxNames + 1) {
		n.names["g"][id] = fmt.Sprint("c", id)
	}
	found := []egress.Denial{{Cgroup: 7, Protocol: unix.IPPROTO_TCP}}
	if got := n.withNames("g", found); len(got) != 1 || got[0].Container != "c7" {
		t.Errorf("denials are %v, want one of c7", got)
	}
	if diff := cmp.Diff(cgroupNames{7: "c7"}, n.names["g"]); diff != "" {
		t.Errorf("names kept (-want +got):\n%s", diff)
	}
}
