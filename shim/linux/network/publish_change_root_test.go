package network

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// Published ports and allowed destinations change while other flows go on.
func TestRootPublishAndAllowChangeUnderFlows(t *testing.T) {
	h := newHarness(t, withPublish)
	front := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(h.out.Host4, port) }
	to, forbidden := netip.AddrPortFrom(h.out.Addr4, 443), netip.AddrPortFrom(h.out.Addr4, 444)
	inside, outside := listen(t, h.ambassador, netip.MustParseAddrPort("0.0.0.0:443")), listen(t, h.remote, to)
	admin, other := listen(t, h.ambassador, netip.MustParseAddrPort("0.0.0.0:9000")), listen(t, h.remote, forbidden)
	for _, l := range []*netnstest.Socket{inside, outside, admin, other} {
		defer l.Close()
	}
	var ends [][2]*netnstest.Socket
	for _, x := range []struct {
		from *netnstest.Helper
		to   netip.AddrPort
		at   *netnstest.Socket
	}{{h.remote, front(8443), inside}, {h.ambassador, to, outside}} {
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
		adminAt            uint16 // the host port that leads to port 9000 of the ambassador; 0: none
		mayReachEverything bool
	}{
		{"another port", []spec.Publish{http, {Name: "admin", Host: 9001, Port: 9000, Protocol: "tcp"}}, nil, 9001, true},
		{"the port moves", []spec.Publish{{Name: "admin", Host: 9002, Port: 9000, Protocol: "tcp"}, http}, nil, 9002, true},
		{"the port is gone", []spec.Publish{http}, nil, 0, true},
		{"an allow list", []spec.Publish{http}, []spec.Allow{{Prefix: to.Addr().String() + "/32", Port: 443, Protocol: "tcp"}}, 0, false},
		{"a longer allow list", []spec.Publish{http}, []spec.Allow{{Prefix: to.Addr().String() + "/32", Port: 443, Protocol: "tcp"}, {Prefix: "203.0.113.0/24", Protocol: "udp"}}, 0, false},
		{"no allow list", []spec.Publish{http}, nil, 0, true},
	}
	for _, tt := range tests {
		h.group.Ambassador().Publish, h.group.Ambassador().Allow = tt.publish, tt.allow
		bringUp(t, h.net, h.group)
		for _, way := range ends {
			if err := way[0].Send("on"); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if got, _, err := way[1].Receive(longWait); got != "on" || err != nil {
				t.Errorf("%s: an open flow received %q, %v", tt.name, got, err)
			}
		}
		if err := exchange(t, h.remote, front(8443), inside); err != nil {
			t.Errorf("%s: the unchanged port: %v", tt.name, err)
		}
		for _, port := range []uint16{9001, 9002} {
			if port == tt.adminAt {
				if err := exchange(t, h.remote, front(port), admin); err != nil {
					t.Errorf("%s: port %d: %v", tt.name, port, err)
				}
				continue
			}
			c := must(h.remote.TCP(to.Addr()))(t)
			if err := c.Connect(front(port), shortWait); err == nil {
				t.Errorf("%s: connected to port %d", tt.name, port)
			}
			c.Close()
		}
		if err := exchange(t, h.ambassador, forbidden, other); tt.mayReachEverything != (err == nil) || err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: to a destination that the list does not name: %v", tt.name, err)
		}
	}
}
