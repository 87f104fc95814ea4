package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/spec"
)

func TestPublishNotes(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
	published := func(edit func(*spec.Publish)) []spec.Publish {
		p := spec.Publish{Name: "web", Host: 443, Port: 8443, Protocol: "tcp"}
		edit(&p)
		return []spec.Publish{p}
	}
	const none = `publish "web": in the group, no process listens on port 8443/tcp`
	for _, tt := range []struct {
		name      string
		edit      func(*spec.Publish)
		listeners []string
		want      []string
	}{
		{"it listens", func(*spec.Publish) {}, []string{"0.0.0.0:8443"}, nil},
		{"it listens over IPv6", func(*spec.Publish) {}, []string{"127.0.0.1:8443", "[::]:8443"}, nil},
		{"it listens elsewhere", func(*spec.Publish) {}, []string{"0.0.0.0:8442", "0.0.0.0:8444"}, []string{none}},
		{"it listens inside", func(*spec.Publish) {}, []string{"127.0.0.1:8443"}, []string{
			`publish "web": in the group, port 8443/tcp has a listener at the loopback address alone, where no caller from outside comes; let it listen on all addresses`,
		}},
		{"UDP", func(p *spec.Publish) { p.Protocol = "udp" }, nil, nil},
		{"one of a range", func(p *spec.Publish) { p.Count = 3 }, []string{"0.0.0.0:8445"}, nil},
		{"none of a range", func(p *spec.Publish) { p.Count = 3 }, []string{"0.0.0.0:8446"}, []string{`publish "web": in the group, no process listens on port 8443-8445/tcp`}},
		{"an address of the host", func(p *spec.Publish) { p.Address = "2001:db8::1" }, []string{"0.0.0.0:8443"}, nil},
		{"a loopback address", func(p *spec.Publish) { p.Address = "127.0.0.9" }, []string{"0.0.0.0:8443"}, nil},
		{"a neighbour's address", func(p *spec.Publish) { p.Address = "192.0.2.9" }, nil, []string{
			`publish "web": this host has no address 192.0.2.9; the port is reached as soon as there is one`, none,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var at []netip.AddrPort
			for _, l := range tt.listeners {
				at = append(at, netip.MustParseAddrPort(l))
			}
			if diff := cmp.Diff(tt.want, publishNotes(published(tt.edit), local, true, at, true)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if got := publishNotes(published(tt.edit), nil, false, nil, false); got != nil {
				t.Errorf("notes of what is not known: %v", got)
			}
		})
	}
}
