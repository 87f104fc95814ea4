package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/spec"
)

func TestPortHolder(t *testing.T) {
	tcp, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	local, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	port := func(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }
	for _, c := range []struct {
		name    string
		publish spec.Publish
		taken   bool
	}{
		{"on every address", spec.Publish{Host: port(tcp.Addr()), Protocol: "tcp"}, true},
		{"on one address", spec.Publish{Host: port(tcp.Addr()), Protocol: "tcp", Address: "192.0.2.1"}, true},
		{"the other protocol", spec.Publish{Host: port(tcp.Addr()), Protocol: "udp"}, false},
		{"udp, v6", spec.Publish{Host: port(udp.LocalAddr()), Protocol: "udp"}, true},
		{"only on loopback", spec.Publish{Host: port(local.Addr()), Protocol: "tcp"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := portHolder(c.publish)
			if err != nil || (got != "") != c.taken {
				t.Fatalf("got %q, %v; want it taken: %v", got, err, c.taken)
			}
			if self := fmt.Sprintf("(pid %d)", os.Getpid()); c.taken && !strings.Contains(got, self) {
				t.Errorf("%q doesn't name this process", got)
			}
		})
	}
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		published, listens string
		want               bool
	}{
		{"", "0.0.0.0", true},
		{"", "::", true},
		{"", "192.0.2.1", true},
		{"", "127.0.0.1", false},
		{"", "::1", false},
		{"192.0.2.1", "0.0.0.0", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::1", true},
		{"127.0.0.1", "127.0.0.1", true},
	} {
		if got := sameAddress(c.published, net.ParseIP(c.listens)); got != c.want {
			t.Errorf("published on %q, listening on %q: %v", c.published, c.listens, got)
		}
	}
}
