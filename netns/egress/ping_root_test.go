package egress_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"path"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

const allPingGroups = "0 2147483647"

// icmpOf returns the domain and the protocol of sockets for ICMP to an address.
func icmpOf(a netip.Addr) (domain, protocol int) {
	if a.Is4() {
		return unix.AF_INET, unix.IPPROTO_ICMP
	}
	return unix.AF_INET6, unix.IPPROTO_ICMPV6
}

// Where ping sockets are refused to members, not even root among them makes a socket for ICMP. The
// ambassador does, and so does the member before and after.
func TestRootPingSocketsAreRefused(t *testing.T) {
	f := newFencePair(t)
	f.fence(t, nil)
	if err := netns.SetPingGroups(f.ns, allPingGroups); err != nil {
		t.Fatal(err)
	}
	loopbacks := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	expect := func(when string, refused bool) {
		t.Helper()
		if ok, err := egress.PingSocketsRefused(f.h, f.members); ok != refused || err != nil {
			t.Errorf("%s: refused: %v, %v; want %v", when, ok, err, refused)
		}
		for who, p := range map[string]*netnstest.Helper{"a member": f.member, "the ambassador": f.ambassador} {
			var want error
			if refused && p == f.member {
				want = unix.EPERM
			}
			for _, a := range loopbacks {
				domain, protocol := icmpOf(a)
				for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_RAW} {
					s, err := p.Socket(domain, kind, protocol)
					if !errors.Is(err, want) {
						t.Errorf("%s, %s: socket %d of domain %d: %v, want %v", when, who, kind, domain, err, want)
					}
					if err == nil {
						s.Close()
					}
				}
			}
			udp, err := p.UDP(loopbacks[0])
			if err != nil {
				t.Errorf("%s, %s: UDP: %v", when, who, err)
			}
			udp.Close()
		}
	}
	expect("at first", false)
	for range 2 {
		if err := egress.RefusePingSockets(f.h, f.members); err != nil {
			t.Fatal(err)
		}
		expect("refused", true)
	}
	if fenced, err := egress.Fenced(f.h, f.members, nil); err != nil || !fenced {
		t.Errorf("fenced: %v, %v", fenced, err)
	}
	if err := egress.LeavePingSockets(f.h, f.members); err != nil {
		t.Fatal(err)
	}
	expect("left", false)
	if err := egress.RefusePingSockets(f.h, f.members); err != nil {
		t.Fatal(err)
	}
	if err := egress.Unfence(f.h, f.members); err != nil {
		t.Fatal(err)
	}
	expect("unfenced", false)
}

// echoOf returns an echo request, or a reply, with an id.
func echoOf(a netip.Addr, reply bool, id uint16) []byte {
	typ := byte(8)
	switch {
	case a.Is4() && reply:
		typ = 0
	case a.Is6() && reply:
		typ = 129
	case a.Is6():
		typ = 128
	}
	m := append(binary.BigEndian.AppendUint16([]byte{typ, 0, 0, 0}, id), 0, 1)
	var sum uint32
	for i := 0; i < len(m); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(m[i:]))
	}
	binary.BigEndian.PutUint16(m[2:], ^uint16(sum>>16+sum)) // the kernel makes that of ICMPv6
	return m
}

// An ambassador that may ping gets answers from those that it has asked, and from no others. It
// asks only those that are allowed, and only for echoes.
func TestRootPing(t *testing.T) {
	netnstest.Root(t)
	all, _ := policies(t)
	out := netnstest.NewOutside(t)
	if err := netns.SetPingGroups(out.NS, allPingGroups); err != nil {
		t.Fatal(err)
	}
	policy := all["ambassador"]
	for _, a := range []netip.Addr{out.Host4, out.Host6} {
		policy.Allow = append(policy.Allow, egress.Endpoint{Prefix: netip.PrefixFrom(a, a.BitLen()), Protocol: ruleset.ICMP})
	}
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	proxy := path.Join(netnstest.CgroupRoot(), "g/ambassador/proxy")
	if _, err := h.Make(proxy); err != nil {
		t.Fatal(err)
	}
	ambassador, host := netnstest.NewHelper(t, out.NS, proxy), netnstest.NewHelper(t, nil, "")
	const id = 0x5a11
	for _, x := range []struct{ own, to, other netip.Addr }{
		{out.Addr4, out.Host4, netip.MustParseAddr("198.51.100.9")},
		{out.Addr6, out.Host6, netip.MustParseAddr("2001:db8:f::9")},
	} {
		domain, protocol := icmpOf(x.to)
		socket := func(p *netnstest.Helper, kind int) *netnstest.Socket {
			t.Helper()
			s, err := p.Socket(domain, kind, protocol)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		ask := func(s *netnstest.Socket, to netip.Addr, message []byte) error {
			return s.SendTo(netip.AddrPortFrom(to, 0), string(message))
		}
		forged := func() { // by the one that is asked later
			t.Helper()
			if err := ask(socket(host, unix.SOCK_RAW), x.own, echoOf(x.to, true, id)); err != nil {
				t.Fatal(err)
			}
		}
		policy.Pings = true
		apply(t, out.NS, policy)
		ping := socket(ambassador, unix.SOCK_DGRAM)
		if err := ping.Bind(netip.AddrPortFrom(x.own, id)); err != nil {
			t.Fatal(err)
		}
		denied := func() (n uint64) {
			t.Helper()
			c, err := egress.ReadCounters(out.NS)
			if err != nil {
				t.Fatal(err)
			}
			return c.AmbassadorDenied.Packets
		}
		unknown := func() uint64 {
			t.Helper()
			c, err := egress.ReadCounters(out.NS)
			if err != nil {
				t.Fatal(err)
			}
			return c.UnknownIn.Packets
		}

		before := unknown()
		forged()
		netnstest.Eventually(t, "an answer that no one asked for is counted", func() bool { return unknown() > before })
		if data, from, err := ping.Receive(time.Millisecond); !errors.Is(err, unix.ETIMEDOUT) {
			t.Errorf("an answer that no one asked for came: %x from %s, %v", data, from, err)
		}
		if err := ask(ping, x.to, echoOf(x.to, false, 0)); err != nil {
			t.Errorf("ask %s: %v", x.to, err)
		}
		if _, from, err := ping.Receive(time.Minute); err != nil || from.Addr() != x.to {
			t.Errorf("the answer of %s: from %s, %v", x.to, from, err)
		}
		forged()
		if _, _, err := ping.Receive(time.Minute); err != nil {
			t.Errorf("control: a forged answer by the one that was asked: %v", err)
		}

		was := denied()
		ask(ping, x.other, echoOf(x.to, false, 0))
		if got := denied(); got != was+1 {
			t.Errorf("a request to %s was refused %d times, want once", x.other, got-was)
		}
		extended := echoOf(x.to, false, 0)
		if extended[0] = 42; x.to.Is6() {
			extended[0] = 160
		}
		if err := ask(socket(ambassador, unix.SOCK_DGRAM), x.to, extended); errors.Is(err, unix.EINVAL) {
			t.Logf("this kernel sends no extended requests by ping sockets: %v", err)
		} else if got := denied(); got != was+2 {
			t.Errorf("an extended request was refused %d times, want once", got-was-1)
		}

		policy.Pings = false
		apply(t, out.NS, policy)
		before = unknown()
		if err := ask(socket(ambassador, unix.SOCK_DGRAM), x.to, echoOf(x.to, false, 0)); err != nil {
			t.Errorf("ask without ping: %v", err)
		}
		netnstest.Eventually(t, "without ping, the answer is dropped", func() bool { return unknown() > before })
	}
	ambassador.Kill()
}
