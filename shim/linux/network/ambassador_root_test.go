package network

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// The ambassador reaches neither the host nor other groups, unless its allow list names them.
func TestRootAmbassadorIsKeptFromHostAndGroups(t *testing.T) {
	h := newHarness(t, nil)
	other := testGroup("other", func(g *spec.Group) {
		g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 9443, Port: 443, Protocol: "tcp"}}
	})
	bringUp(t, h.net, other)
	t.Cleanup(func() { _ = h.net.Remove(t.Context(), other.Name) })
	ns := must(h.net.open(other.Name))(t)
	defer ns.Close()
	neighbour := netnstest.NewHelper(t, ns, h.net.layout.CgroupParent(other.Name, spec.Ambassador))
	pair := must(h.net.pair(other.Name))(t)
	own := must(h.net.pair(h.group.Name))(t)

	targets := []struct {
		name   string
		owner  *netnstest.Helper
		listen string
		to     string
	}{
		{"a service of the host", h.host, "0.0.0.0:5000", netip.AddrPortFrom(h.out.Host4, 5000).String()},
		{"a service of the host, IPv6", h.host, "[::]:5001", netip.AddrPortFrom(h.out.Host6, 5001).String()},
		{"a service of the host by the link", h.host, "0.0.0.0:5002", netip.AddrPortFrom(own.Host4, 5002).String()},
		{"another group by its address", neighbour, "0.0.0.0:443", netip.AddrPortFrom(pair.Group4, 443).String()},
		{"another group by its address, IPv6", neighbour, "[::]:444", netip.AddrPortFrom(pair.Group6, 444).String()},
		{"another group by its published port", neighbour, "0.0.0.0:443", netip.AddrPortFrom(h.out.Host4, 9443).String()},
		{"metadata", nil, "", "169.254.169.254:80"},
		{"metadata, IPv6", nil, "", "[fd00:ec2::254]:80"},
	}
	for _, tt := range targets {
		t.Run(tt.name, func(t *testing.T) {
			to := netip.MustParseAddrPort(tt.to)
			if tt.owner != nil {
				l := listen(t, tt.owner, netip.MustParseAddrPort(tt.listen))
				defer l.Close()
			}
			c := must(h.ambassador.TCP(to.Addr()))(t)
			defer c.Close()
			if err := c.Connect(to, longWait); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("TCP: %v after %s, want a refusal", err, c.Took)
			}
			u := must(h.ambassador.UDP(to.Addr()))(t)
			defer u.Close()
			if err := u.Connect(to, longWait); err != nil {
				t.Fatal(err)
			}
			if err := u.Send("x"); err != nil {
				t.Fatal(err)
			}
			if _, _, err := u.Receive(longWait); err == nil || errors.Is(err, unix.ETIMEDOUT) {
				t.Errorf("UDP: %v, want a refusal", err)
			}
		})
	}

	// The rules let through what the allow list names. The rest is refused in the namespace.
	h.group.Ambassador().Allow = []spec.Allow{
		{Prefix: h.out.Host4.String() + "/32", Port: 5000, Protocol: "tcp"},
		{Prefix: h.out.Host4.String() + "/32", Port: 9443, Protocol: "tcp"},
		{Prefix: "2001:db8:f::/64", Protocol: "tcp"},
	}
	bringUp(t, h.net, h.group)
	for _, tt := range []struct {
		name, listen, to string
		owner            *netnstest.Helper
		refused          bool
	}{
		{name: "the host, allowed", owner: h.host, listen: "0.0.0.0:5000", to: netip.AddrPortFrom(h.out.Host4, 5000).String()},
		{name: "the host, IPv6, allowed", owner: h.host, listen: "[::]:5001", to: netip.AddrPortFrom(h.out.Host6, 5001).String()},
		{name: "another group's published port, allowed", owner: neighbour, listen: "0.0.0.0:443", to: netip.AddrPortFrom(h.out.Host4, 9443).String()},
		{name: "outside, IPv6, allowed", owner: h.remote, listen: "[::]:5003", to: netip.AddrPortFrom(h.out.Addr6, 5003).String()},
		{name: "the host, another port, not allowed", owner: h.host, listen: "0.0.0.0:5002", to: netip.AddrPortFrom(h.out.Host4, 5002).String(), refused: true},
		{name: "outside, not allowed", owner: h.remote, listen: "0.0.0.0:5004", to: netip.AddrPortFrom(h.out.Addr4, 5004).String(), refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t, tt.owner, netip.MustParseAddrPort(tt.listen))
			defer l.Close()
			err := exchange(t, h.ambassador, netip.MustParseAddrPort(tt.to), l)
			if tt.refused && !errors.Is(err, unix.ECONNREFUSED) || !tt.refused && err != nil {
				t.Errorf("exchange: %v, want a refusal: %v", err, tt.refused)
			}
		})
	}
}

// With an allow list the ambassador still answers on its published ports. It can't open a flow from
// them.
func TestRootAllowListLetsRepliesPass(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) {
		withPublish(g)
		g.Ambassador().Allow = []spec.Allow{{Prefix: "203.0.113.7/32", Port: 1, Protocol: "tcp"}}
	})
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			host := h.out.Host4
			if addr.Is6() {
				host = h.out.Host6
			}
			l := listen(t, h.ambassador, netip.AddrPortFrom(unspecified(addr), 443))
			defer l.Close()
			if err := exchange(t, h.remote, netip.AddrPortFrom(host, 8443), l); err != nil {
				t.Errorf("published port: %v", err)
			}
			// A datagram from a published port passes the namespace even if it is no answer. The
			// host stops it.
			sink := must(h.remote.UDP(addr))(t)
			defer sink.Close()
			at := netip.AddrPortFrom(addr, 9999)
			if err := sink.Bind(at); err != nil {
				t.Fatal(err)
			}
			u := must(h.ambassador.UDP(addr))(t)
			defer u.Close()
			if err := u.Bind(netip.AddrPortFrom(h.groupAddr(addr), 53)); err != nil {
				t.Fatal(err)
			}
			_ = u.SendTo(at, "smuggled")
			if got, _, err := sink.Receive(shortWait); err == nil {
				t.Errorf("the remote host received %q", got)
			}
		})
	}
}

func TestRootPortInUse(t *testing.T) {
	h := newHarness(t, nil)
	l := listen(t, h.host, netip.MustParseAddrPort("127.0.0.1:8443"))
	defer l.Close()
	for _, tt := range []struct {
		name    string
		publish spec.Publish
		taken   bool
	}{
		{"every address", spec.Publish{Host: 8443, Protocol: "tcp"}, true},
		{"that address", spec.Publish{Address: "127.0.0.1", Host: 8443, Protocol: "tcp"}, true},
		{"another address", spec.Publish{Address: "198.51.100.1", Host: 8443, Protocol: "tcp"}, false},
		{"another port", spec.Publish{Host: 8444, Protocol: "tcp"}, false},
		{"another protocol", spec.Publish{Host: 8443, Protocol: "udp"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			holder, err := h.net.PortInUse(tt.publish)
			if err != nil || (holder != "") != tt.taken {
				t.Errorf("holder %q, %v; want one: %v", holder, err, tt.taken)
			}
			t.Log(holder)
		})
	}
}
