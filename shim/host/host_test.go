package host_test

import (
	"net/netip"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
)

func TestNetStateAny(t *testing.T) {
	const unknown, absent, present = host.Unknown, host.Absent, host.Present
	for _, tt := range []struct {
		name                           string
		pinned, namespace, rules, link host.Presence
		want                           bool
	}{
		{"nothing observed", unknown, unknown, unknown, unknown, false},
		{"nothing there", absent, absent, absent, absent, false},
		{"pinned without rules", present, absent, absent, absent, true},
		{"pinned, and the rest is unknown", present, unknown, unknown, unknown, false},
		{"pinned, and some of the rest is known", present, unknown, unknown, absent, true},
		{"only a link", absent, absent, absent, present, true},
		{"only a link, and the rest is unknown", unknown, unknown, unknown, present, true},
		{"rules", absent, absent, present, absent, true},
		{"namespace", unknown, present, unknown, unknown, true},
	} {
		n := host.NetState{Pinned: tt.pinned, Namespace: tt.namespace, Rules: tt.rules, Link: tt.link}
		if got := n.Any(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestDestinationText(t *testing.T) {
	for _, tt := range []struct{ to, protocol, want string }{
		{"198.51.100.66:443", "tcp", "198.51.100.66:443/tcp"},
		{"[2001:db8::1]:53", "udp", "[2001:db8::1]:53/udp"},
		{"198.51.100.66:0", "icmp", "198.51.100.66 (icmp)"},
		{"[2001:db8::1]:0", "ipv6-icmp", "2001:db8::1 (ipv6-icmp)"},
	} {
		d := host.Denial{Container: "web", Protocol: tt.protocol, Destination: netip.MustParseAddrPort(tt.to), Packets: 2, Bytes: 120}
		if got := d.DestinationText(); got != tt.want {
			t.Errorf("%s of %s: %q, want %q", tt.protocol, tt.to, got, tt.want)
		}
		d.Packets, d.Bytes = 0, 0
		counted := d
		counted.Packets, counted.Bytes = 7, 420
		if counted.Flow() != d {
			t.Errorf("the flow of %+v is %+v", counted, counted.Flow())
		}
	}
}

func TestHealthUnknown(t *testing.T) {
	for _, tt := range []struct {
		name   string
		health host.Health
		want   bool
	}{
		{"not asked", host.Health{}, true},
		{"not decided", host.Health{Started: true, Pending: true, Reason: "its ready probe failed: refused"}, true},
		{"not ready", host.Health{Started: true, Reason: "its ready probe failed: refused"}, false},
		{"ready", host.Health{Started: true, Ready: true}, false},
		{"started, without a ready probe's answer", host.Health{Started: true}, false},
	} {
		if got := tt.health.Unknown(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
