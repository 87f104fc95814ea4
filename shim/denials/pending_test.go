package denials_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/shim/denials"
	"github.com/sallyport/sallyport/shim/host"
)

// early is the time of the first poll.
var early = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// denial returns a denial from a container to a web server. A packet has ten bytes.
func denial(container, to string, packets uint64) host.Denial {
	return host.Denial{Container: container, Protocol: "tcp", Destination: netip.MustParseAddrPort(to), Packets: packets, Bytes: 10 * packets}
}

const one, two = "192.0.2.1:80", "[2001:db8::1]:80"

// The polls are a second apart. Each has the counts and what is reported.
func TestUpdatePending(t *testing.T) {
	type poll struct{ now, reported []host.Denial }
	web := func(packets uint64) []host.Denial { return []host.Denial{denial("web", one, packets)} }
	for _, tt := range []struct {
		name  string
		polls []poll
	}{
		{"nothing", []poll{{}, {}}},
		{"once", []poll{{web(3), web(3)}, {web(3), nil}, {web(3), nil}}},
		{"created again", []poll{{web(3), web(3)}, {web(2), web(2)}, {web(2), nil}}},
		{"more packets and fewer bytes: created again", []poll{
			{[]host.Denial{{Container: "web", Packets: 1, Bytes: 90}}, []host.Denial{{Container: "web", Packets: 1, Bytes: 90}}},
			{[]host.Denial{{Container: "web", Packets: 2, Bytes: 80}}, []host.Denial{{Container: "web", Packets: 2, Bytes: 80}}},
		}},
		{"gone and back again", []poll{{web(3), web(3)}, {}, {web(3), web(3)}}},
		{"the most first", []poll{{
			[]host.Denial{denial("a", one, 1), denial("b", one, 5), denial("a", two, 5)},
			[]host.Denial{denial("a", two, 5), denial("b", one, 5), denial("a", one, 1)},
		}}},
		{"two cgroups of one container", []poll{{web(3), web(3)}, {append(web(1), web(3)...), web(1)}}},
		{"going on: reported ever more rarely", []poll{
			{web(1), web(1)}, {web(2), web(1)}, {web(3), nil}, {web(4), web(2)}, {web(5), nil}, {web(6), nil}, {web(7), nil}, {web(8), web(4)},
		}},
		{"the rest is reported later", []poll{{web(1), web(1)}, {web(2), web(1)}, {web(9), nil}, {web(9), web(7)}, {web(9), nil}}},
		{"the rest of a counter that is gone", []poll{{web(1), web(1)}, {web(2), web(1)}, {web(9), nil}, {nil, web(7)}}},
		{"the rest of a counter that was created again", []poll{{web(1), web(1)}, {web(2), web(1)}, {web(9), nil}, {web(4), web(11)}}},
		{"a flow that has lost its container", []poll{{web(3), web(3)}, {[]host.Denial{denial("", one, 3)}, nil}, {[]host.Denial{denial("", one, 3)}, nil}}},
		{"an earlier cgroup that has lost its container", []poll{
			{web(9), web(9)}, {[]host.Denial{denial("", one, 6), denial("web", one, 3)}, nil},
			{[]host.Denial{denial("web", one, 5), denial("", one, 6)}, web(2)}, {web(12), nil}, {web(12), web(1)},
		}},
		{"without a container from the first", []poll{
			{[]host.Denial{denial("", one, 1), denial("web", one, 1)}, []host.Denial{denial("", one, 1), denial("web", one, 1)}},
			{[]host.Denial{denial("", one, 2), denial("web", one, 1)}, []host.Denial{denial("", one, 1)}},
		}},
		{"several flows", []poll{
			{web(1), web(1)},
			{[]host.Denial{denial("web", one, 1), denial("job", two, 2), denial("xyz", two, 1)}, []host.Denial{denial("job", two, 2), denial("xyz", two, 1)}},
			{[]host.Denial{denial("xyz", two, 3), denial("job", two, 2)}, []host.Denial{denial("xyz", two, 2)}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var pending []denials.PendingDenial
			for i, p := range tt.polls {
				var reported []host.Denial
				pending, reported, _ = denials.UpdatePending(pending, slices.Clone(p.now), early.Add(time.Duration(i)*time.Second))
				if diff := cmp.Diff(p.reported, reported, cmpopts.EquateComparable(host.Denial{})); diff != "" {
					t.Errorf("poll %d (-want +got)\n%s", i+1, diff)
				}
			}
		})
	}
}

// What is missing in a count that could be read in part has not ended. What is there is reported.
func TestUpdatePartly(t *testing.T) {
	whole := []host.Denial{denial("door", one, 3), denial("web", one, 5)}
	pending, _, _ := denials.UpdatePending(nil, slices.Clone(whole), early)
	for i, tt := range []struct{ now, reported []host.Denial }{
		{nil, nil},
		{[]host.Denial{denial("web", one, 5), denial("web", two, 1)}, []host.Denial{denial("web", two, 1)}},
		{[]host.Denial{denial("door", one, 1), denial("web", one, 6), denial("web", two, 1)}, []host.Denial{denial("web", one, 1)}},
	} {
		var reported []host.Denial
		var dropped bool
		pending, reported, dropped = denials.UpdatePartly(pending, slices.Clone(tt.now), early.Add(time.Duration(i+1)*time.Minute))
		if diff := cmp.Diff(tt.reported, reported, cmpopts.EquateComparable(host.Denial{})); diff != "" || dropped {
			t.Errorf("poll %d (-want +got)\n%sdropped: %t", i+1, diff, dropped)
		}
	}
	now := []host.Denial{denial("door", one, 4), denial("web", one, 6), denial("web", two, 1)}
	_, reported, dropped := denials.UpdatePending(pending, now, early.Add(time.Hour))
	if diff := cmp.Diff([]host.Denial{denial("door", one, 1)}, reported, cmpopts.EquateComparable(host.Denial{})); diff != "" || dropped {
		t.Errorf("once all could be read (-want +got)\n%sdropped: %t", diff, dropped)
	}
}

// A container that is refused every second for an hour gets a little more than one event a minute.
// Together they have all packets.
func TestUpdatePendingOfAnEndlessFlow(t *testing.T) {
	var pending []denials.PendingDenial
	events, packets := 0, uint64(0)
	for i := range 3600 {
		var reported []host.Denial
		pending, reported, _ = denials.UpdatePending(pending, []host.Denial{denial("web", one, uint64(i+1))}, early.Add(time.Duration(i)*time.Second))
		for _, d := range reported {
			events++
			packets += d.Packets
		}
	}
	_, rest, _ := denials.UpdatePending(pending, nil, early.Add(time.Hour))
	if events < 60 || events > 70 || len(rest) != 1 || packets+rest[0].Packets != 3600 {
		t.Errorf("%d events of %d packets, unreported %+v", events, packets, rest)
	}
}

// Throttles of the time before the clock was set, by an hour either way, do not delay reports.
func TestUpdatePendingWhenTheClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{-time.Hour, time.Hour} {
		var pending []denials.PendingDenial
		for i := range 5 {
			pending, _, _ = denials.UpdatePending(pending, []host.Denial{denial("web", one, uint64(i+1))}, early.Add(time.Duration(i)*time.Second))
		}
		now, reports := early.Add(set), 0
		for i := range 60 {
			var refused []host.Denial
			pending, refused, _ = denials.UpdatePending(pending, []host.Denial{denial("web", one, uint64(i+6))}, now.Add(time.Duration(i)*time.Second))
			reports += len(refused)
		}
		if reports < 3 || reports > 10 {
			t.Errorf("clock set by %s: %d reports in the minute after it", set, reports)
		}
	}
}

// A poll with equal counts allocates nothing.
func TestUpdatePendingWithoutChanges(t *testing.T) {
	now := []host.Denial{denial("job", two, 2), denial("web", one, 1)}
	pending, _, _ := denials.UpdatePending(nil, slices.Clone(now), early)
	if n := testing.AllocsPerRun(10, func() { denials.UpdatePending(pending, now, early) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDeniedEvents(t *testing.T) {
	icmp := host.Denial{Container: "web", Protocol: "icmp", Destination: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), 0), Packets: 1}
	for _, tt := range []struct {
		name    string
		denials []host.Denial
		want    []string
	}{
		{"none", nil, nil},
		{"each", []host.Denial{denial("web", "192.0.2.1:80", 2), denial("", "[2001:db8::1]:443", 1), icmp},
			[]string{"web: 2 packets to 192.0.2.1:80/tcp", ": 1 packet to [2001:db8::1]:443/tcp", "web: 1 packet to 192.0.2.9 (icmp)"}},
		{"the others by container", []host.Denial{
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
			for _, e := range denials.DeniedEvents("shop", tt.denials, 3) {
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
				t.Errorf("the events have %d packets too many", total)
			}
		})
	}
}

func TestQuotaLevel(t *testing.T) {
	for _, tt := range []struct {
		used, quota uint64
		want        int
	}{{0, 0, 0}, {9, 0, 0}, {0, 1000, 0}, {799, 1000, 0}, {800, 1000, 80}, {999, 1000, 80}, {1000, 1000, 100}, {5000, 1000, 100}, {1 << 63, 1<<64 - 1, 0}} {
		if got := denials.QuotaLevel(tt.used, tt.quota); got != tt.want {
			t.Errorf("%d of %d: %d, want %d", tt.used, tt.quota, got, tt.want)
		}
	}
}
