package network

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// Ports that are published, and destinations that are allowed, change while flows of others go on.
func TestRootPublishAndAllowChangeUnderFlows(t *testing.T) {
	s := newHarness(t, withPublish)
	front := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(s.out.Host4, port) }
	to, forbidden := netip.AddrPortFrom(s.out.Addr4, 443), netip.AddrPortFrom(s.out.Addr4, 444)
	inside, outside := listen(t, s.ambassador, netip.MustParseAddrPort("0.0.0.0:443")), listen(t, s.remote, to)
	admin, other := listen(t, s.ambassador, netip.MustParseAddrPort("0.0.0.0:9000")), listen(t, s.remote, forbidden)
	for _, l := range []*netnstest.Socket{inside, outside, admin, other} {
		defer l.Close()
	}
	var ends [][2]*netnstest.Socket
	for _, x := range []struct {
		from *netnstest.Helper
		to   netip.AddrPort
		at   *netnstest.Socket
	}{{s.remote, front(8443), inside}, {s.ambassador, to, outside}} {
		c := must(x.from.TCP(x.to.Addr()))(t)
		defer c.Close()
		if err := c.Connect(x.to, longWait); err != nil {
			t.Fatal(err)
		}
		a := must(x.at.Accept(longWait))(t)
		defer a.Close()
		ends = append(ends, [2]*netnstest.Socket{c, a}, [2]*netnstest.Socket{a, c})
	}
	http := spec.Publish{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}
	tests := []struct {
		name               string
		publish            []spec.Publish
		allow              []spec.Allow
		adminAt            uint16 // where the world reaches port 9000 of the ambassador; 0: nowhere
		mayReachEverything bool
	}{
		{"a port more", []spec.Publish{http, {Name: "admin", Host: 9001, Port: 9000, Protocol: "tcp"}}, nil, 9001, true},
		{"it moves", []spec.Publish{{Name: "admin", Host: 9002, Port: 9000, Protocol: "tcp"}, http}, nil, 9002, true},
		{"it goes", []spec.Publish{http}, nil, 0, true},
		{"an allow list", []spec.Publish{http}, []spec.Allow{{Prefix: to.Addr().String() + "/32", Port: 443, Protocol: "tcp"}}, 0, false},
		{"a longer one", []spec.Publish{http}, []spec.Allow{{Prefix: to.Addr().String() + "/32", Port: 443, Protocol: "tcp"}, {Prefix: "203.0.113.0/24", Protocol: "udp"}}, 0, false},
		{"none", []spec.Publish{http}, nil, 0, true},
	}
	for _, tt := range tests {
		s.group.Ambassador().Publish, s.group.Ambassador().Allow = tt.publish, tt.allow
		bringUp(t, s.net, s.group)
		for _, way := range ends {
			if err := way[0].Send("on"); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if got, _, err := way[1].Receive(longWait); got != "on" || err != nil {
				t.Errorf("%s: a flow that was open received %q, %v", tt.name, got, err)
			}
		}
		if err := exchange(t, s.remote, front(8443), inside); err != nil {
			t.Errorf("%s: the port that stays: %v", tt.name, err)
		}
		for _, port := range []uint16{9001, 9002} {
			if port == tt.adminAt {
				if err := exchange(t, s.remote, front(port), admin); err != nil {
					t.Errorf("%s: port %d: %v", tt.name, port, err)
				}
				continue
			}
			c := must(s.remote.TCP(to.Addr()))(t)
			if err := c.Connect(front(port), shortWait); err == nil {
				t.Errorf("%s: port %d leads somewhere", tt.name, port)
			}
			c.Close()
		}
		if err := exchange(t, s.ambassador, forbidden, other); tt.mayReachEverything != (err == nil) || err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: to what the list does not name: %v", tt.name, err)
		}
	}
}
