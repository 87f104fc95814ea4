package uplink

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// refused reads what was refused to a link, in order. It leaves out the bytes, which depend on
// padding and options.
func (s *harness) refused(link string) []Refusal {
	s.t.Helper()
	list := must(s.uplink.Refused())(s.t)[link]
	slices.SortFunc(list, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.Destination.Compare(b.Destination))
	})
	for i := range list {
		if list[i].Bytes == 0 {
			s.t.Errorf("no bytes are counted of %v", list[i])
		}
		list[i].Bytes, list[i].Expires = 0, 0 // the second changes all the time
	}
	return list
}

func (s *harness) wantRefused(link string, want ...Refusal) {
	s.t.Helper()
	opts := gocmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()}
	if diff := gocmp.Diff(want, s.refused(link), opts); diff != "" {
		s.t.Errorf("refused to %s (-want +got):\n%s", link, diff)
	}
}

func refusal(protocol byte, to string, packets uint64) Refusal {
	return Refusal{Protocol: protocol, Destination: netip.MustParseAddrPort(to), Counter: ruleset.Counter{Packets: packets}}
}

// sendTo sends datagrams from the group and ignores errors: the tests check the sets.
func (s *harness) sendTo(to string, times int) {
	s.t.Helper()
	at := netip.MustParseAddrPort(to)
	for range times {
		c := must(s.group.UDP(at.Addr()))(s.t)
		if err := errors.Join(c.SendTo(at, "x"), c.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// The sets hold what the host refuses, by link, protocol and destination. They do not hold what it
// lets through.
func TestRootRefusedIsRemembered(t *testing.T) {
	s := newHarness(t)
	s.sendTo("198.51.100.2:53", 2) // control: outside
	s.sendTo("[2001:db8:f::2]:53", 2)
	s.wantRefused(s.one.Link)

	s.sendTo("169.254.169.254:80", 3)
	s.sendTo("198.51.100.1:53", 1)
	s.sendTo("[fd00:ec2::254]:80", 2)
	for _, to := range []string{"198.51.100.1:22", "[2001:db8:f::1]:22"} {
		at := netip.MustParseAddrPort(to)
		c := must(s.group.TCP(at.Addr()))(t)
		if err := c.Connect(at, patience); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("connect to %s: %v, want a refusal", to, err)
		}
		c.Close()
	}
	// An echo request with the right checksum. With a wrong one it would be of no flow, and count
	// as stray.
	ping := must(s.group.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP))(t)
	if err := ping.SendTo(netip.MustParseAddrPort("198.51.100.1:0"), "\x08\x00wwww\x09\x11"); err != nil {
		t.Fatal(err)
	}
	ping.Close()
	want := []Refusal{
		refusal(unix.IPPROTO_ICMP, "198.51.100.1:0", 1),
		refusal(unix.IPPROTO_TCP, "198.51.100.1:22", 1),
		refusal(unix.IPPROTO_TCP, "[2001:db8:f::1]:22", 1),
		refusal(unix.IPPROTO_UDP, "169.254.169.254:80", 3),
		refusal(unix.IPPROTO_UDP, "198.51.100.1:53", 1),
		refusal(unix.IPPROTO_UDP, "[fd00:ec2::254]:80", 2),
	}
	s.wantRefused(s.one.Link, want...)
	s.wantRefused(s.two.Link)

	// The table is in force with refusals in its sets, and a change of an entry leaves them alone.
	if !inForce(t, s.uplink, s.one) {
		t.Error("with refusals in its sets the table is not in force")
	}
	s.allow("203.0.113.1:443")
	s.wantRefused(s.one.Link, want...)

	// Deleting a link's entry deletes its refusals alone.
	at := netip.MustParseAddrPort("169.254.169.254:80")
	c := must(s.neighbour.UDP(at.Addr()))(t)
	if err := errors.Join(c.SendTo(at, "x"), c.Close(), s.uplink.Delete(s.one.Link)); err != nil {
		t.Fatal(err)
	}
	s.wantRefused(s.one.Link)
	s.wantRefused(s.two.Link, refusal(unix.IPPROTO_UDP, "169.254.169.254:80", 1))
}

// A group that sends to very many destinations fills the set and no more. It is refused and counted
// as before, and so are others.
func TestRootRefusedIsBounded(t *testing.T) {
	s := newHarness(t)
	c := must(s.group.UDP(s.out.Host4))(t)
	defer c.Close()
	const more = 500
	for i := range mostRefusals + more {
		to := netip.AddrPortFrom(s.out.Host4, uint16(10000+i))
		for try := 0; c.SendTo(to, "x") != nil && try < 3; try++ { // an error is that of the refusal before
		}
	}
	if n := len(s.refused(s.one.Link)); n != mostRefusals {
		t.Errorf("%d destinations are remembered, want %d", n, mostRefusals)
	}
	conn := must(ruleset.Open(0))(t)
	defer conn.Close()
	before := must(ruleset.Counts(conn, "sallyport"))(t)[chainRefused].Packets
	s.sendTo("198.51.100.1:9", 1)
	if got := must(ruleset.Counts(conn, "sallyport"))(t)[chainRefused].Packets; got != before+1 {
		t.Errorf("%d packets were counted with the set full, want 1", got-before)
	}
	s.arrives(t, false, netip.AddrPortFrom(s.out.Host4, 9), s.host, s.one.Group[0])
	s.arrives(t, true, netip.AddrPortFrom(s.out.Addr4, 9), s.outside, s.one.Group[0]) // the control
	if err := s.uplink.Delete(s.one.Link); err != nil {
		t.Fatal(err)
	}
	s.wantRefused(s.one.Link)
}

func TestRootRefusedWithoutTable(t *testing.T) {
	netnstest.Root(t)
	got, err := newUplink(t, "sallyport").Refused()
	if err != nil || len(got) > 0 {
		t.Errorf("refused: %v, %v; want nothing", got, err)
	}
}
