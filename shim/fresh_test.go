package shim_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

var addrPort = netip.MustParseAddrPort

// denial is one of a member on its way to a web server; bytes are ten a packet.
func denial(container, to string, packets uint64) shim.Denial {
	return shim.Denial{Container: container, Protocol: "tcp", Destination: addrPort(to), Packets: packets, Bytes: 10 * packets}
}

func TestFresh(t *testing.T) {
	const one, two = "192.0.2.1:80", "[2001:db8::1]:80"
	for _, tt := range []struct {
		name              string
		before, now, want []shim.Denial
	}{
		{name: "nothing"},
		{name: "the first", now: []shim.Denial{denial("web", one, 3)}, want: []shim.Denial{denial("web", one, 3)}},
		{name: "no more", before: []shim.Denial{denial("web", one, 3)}, now: []shim.Denial{denial("web", one, 3)}},
		{name: "more", before: []shim.Denial{denial("web", one, 3)}, now: []shim.Denial{denial("web", one, 5)}, want: []shim.Denial{denial("web", one, 2)}},
		{name: "fewer: made anew", before: []shim.Denial{denial("web", one, 3)}, now: []shim.Denial{denial("web", one, 2)}, want: []shim.Denial{denial("web", one, 2)}},
		{name: "more packets, fewer bytes: made anew", before: []shim.Denial{{Container: "web", Packets: 1, Bytes: 90}},
			now: []shim.Denial{{Container: "web", Packets: 2, Bytes: 80}}, want: []shim.Denial{{Container: "web", Packets: 2, Bytes: 80}}},
		{name: "gone", before: []shim.Denial{denial("web", one, 3)}},
		{name: "the most first", now: []shim.Denial{denial("a", one, 1), denial("b", one, 5), denial("a", two, 5)},
			want: []shim.Denial{denial("a", two, 5), denial("b", one, 5), denial("a", one, 1)}},
		{name: "of two cgroups", before: []shim.Denial{denial("web", one, 3)}, now: []shim.Denial{denial("web", one, 3), denial("web", one, 1)},
			want: []shim.Denial{denial("web", one, 1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shim.Fresh(tt.before, tt.now), cmp.Comparer(func(a, b shim.Denial) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDeniedEvents(t *testing.T) {
	icmp := shim.Denial{Container: "web", Protocol: "icmp", Destination: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), 0), Packets: 1}
	for _, tt := range []struct {
		name    string
		denials []shim.Denial
		want    []string
	}{
		{"none", nil, nil},
		{"each", []shim.Denial{denial("web", "192.0.2.1:80", 2), denial("", "[2001:db8::1]:443", 1), icmp},
			[]string{"web: 2 packets to 192.0.2.1:80/tcp", ": 1 packet to [2001:db8::1]:443/tcp", "web: 1 packet to 192.0.2.9 (icmp)"}},
		{"the others by container", []shim.Denial{
			denial("web", "192.0.2.1:1", 9), denial("web", "192.0.2.1:2", 8), denial("web", "192.0.2.1:3", 7),
			denial("web", "192.0.2.1:4", 6), denial("job", "192.0.2.1:5", 5), denial("web", "192.0.2.1:6", 4),
		}, []string{
			"web: 9 packets to 192.0.2.1:1/tcp", "web: 8 packets to 192.0.2.1:2/tcp", "web: 7 packets to 192.0.2.1:3/tcp",
			"job: and 5 more packets to 1 other destination", "web: and 10 more packets to 2 other destinations",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			total := uint64(0)
			for _, e := range shim.DeniedEvents("shop", tt.denials, 3) {
				got = append(got, e.Container+": "+e.Text)
				total += e.Denial.Packets
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, d := range tt.denials {
				total -= d.Packets
			}
			if total != 0 {
				t.Errorf("%d packets were told of that were not denied", total)
			}
		})
	}
}

func TestQuotaLevel(t *testing.T) {
	for _, tt := range []struct {
		used, quota uint64
		want        int
	}{{0, 0, 0}, {9, 0, 0}, {0, 1000, 0}, {799, 1000, 0}, {800, 1000, 80}, {999, 1000, 80}, {1000, 1000, 100}, {5000, 1000, 100}, {1 << 63, 1<<64 - 1, 0}} {
		if got := shim.QuotaLevel(tt.used, tt.quota); got != tt.want {
			t.Errorf("%d of %d: %d, want %d", tt.used, tt.quota, got, tt.want)
		}
	}
}
