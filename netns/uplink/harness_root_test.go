package uplink

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

const (
	patience = 20 * time.Second
	short    = 100 * time.Millisecond // how long to wait for what must not come
)

// A harness is a host with an outside and two groups. The groups have no rules of their own. So
// only the host stops packets, as if the first layer let everything pass.
type harness struct {
	t                      *testing.T
	uplink                 *Uplink
	out                    *netnstest.Outside
	one, two               Entry
	outside, host          *netnstest.Helper
	group, neighbour       *netnstest.Helper
	groupNS, neighbourNS   *os.File
	gateway4, gateway6     netip.Addr // the host's end of the group's link
	neighbour4, neighbour6 netip.Addr
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	netnstest.Root(t)
	one, two := entries()
	two.Allow = nil
	s := &harness{t: t, uplink: newUplink(t, "sallyport"), out: netnstest.NewOutside(t), one: one, two: two,
		gateway4: netip.MustParseAddr("10.209.0.0"), gateway6: netip.MustParseAddr("fd5a::"),
		neighbour4: two.Group[0], neighbour6: two.Group[1]}
	put(t, s.uplink, s.one, s.two)
	t.Cleanup(func() { drop(t, s.uplink) })
	s.groupNS, s.group = s.join(one.Link, "10.209.0.0/31", "fd5a::/127", "10.209.0.1/31", "fd5a::1/127")
	s.neighbourNS, s.neighbour = s.join(two.Link, "10.209.0.2/31", "fd5a::2/127", "10.209.0.3/31", "fd5a::3/127")
	s.outside, s.host = netnstest.NewHelper(t, s.out.NS, ""), netnstest.NewHelper(t, nil, "")
	return s
}

// join makes a group's namespace and link, and a helper in it.
func (s *harness) join(link, near4, near6, far4, far6 string) (*os.File, *netnstest.Helper) {
	s.t.Helper()
	ns := netnstest.NewNamespace(s.t)
	near := netnstest.End{NS: own(s.t), Name: link, Addrs: []string{near4, near6}}
	far := netnstest.End{NS: ns, Name: "eth0", Addrs: []string{far4, far6}}
	netnstest.Join(s.t, near, far)
	netnstest.Neighbour(s.t, near, far, netip.MustParsePrefix(far4).Addr(), netip.MustParsePrefix(far6).Addr())
	netnstest.Neighbour(s.t, far, near, netip.MustParsePrefix(near4).Addr(), netip.MustParsePrefix(near6).Addr())
	s.t.Cleanup(func() {
		if err := netns.RemoveLink(link); err != nil {
			s.t.Error(err)
		}
	})
	for every, by := range map[string]string{"0.0.0.0/0": near4, "::/0": near6} {
		netnstest.RoutePrefix(s.t, ns, netip.MustParsePrefix(every), netip.MustParsePrefix(by).Addr())
	}
	return ns, netnstest.NewHelper(s.t, ns, "")
}

// allow gives the first group an allow list of endpoints, each "203.0.113.1:443". No endpoints mean
// no allow list.
func (s *harness) allow(list ...string) {
	s.t.Helper()
	e := s.one
	for _, x := range list {
		e.Allow = append(e.Allow, endpoint(s.t, x))
	}
	put(s.t, s.uplink, e)
}

// arrives checks whether a datagram that the group sends from one address to another reaches the
// helper that receives there.
func (s *harness) arrives(t *testing.T, want bool, to netip.AddrPort, at *netnstest.Helper, from netip.Addr) {
	t.Helper()
	sink := must(at.UDP(to.Addr()))(t)
	defer sink.Close()
	bind := netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port())
	if to.Addr().Is6() {
		bind = netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port())
	}
	if err := sink.Bind(bind); err != nil {
		t.Fatal(err)
	}
	c := must(s.group.UDP(to.Addr()))(t)
	defer c.Close()
	if err := errors.Join(
		c.SetInt(unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
		c.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0"), // link-local addresses need one
		freebind(c, netip.AddrPortFrom(from, 0)),
	); err != nil {
		t.Fatal(err)
	}
	if err := c.SendTo(to, "x"); err != nil {
		t.Fatalf("send to %s: %v", to, err)
	}
	if _, _, err := sink.Receive(wait(want)); (err == nil) != want {
		t.Errorf("a datagram from %s to %s arrives: %v, want %v", from, to, err == nil, want)
	}
}

// wait returns how long to wait for a packet that must arrive, or must not.
func wait(want bool) time.Duration {
	if want {
		return patience
	}
	return short
}

// freebind binds a socket to an address, even if the namespace does not have it.
func freebind(c *netnstest.Socket, at netip.AddrPort) error {
	level, option := unix.SOL_IPV6, unix.IPV6_FREEBIND
	if at.Addr().Is4() {
		level, option = unix.SOL_IP, unix.IP_FREEBIND
	}
	return errors.Join(c.SetInt(level, option, 1), c.Bind(at))
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
