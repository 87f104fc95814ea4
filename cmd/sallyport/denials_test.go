package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// happened is the journal of the fake daemon.
var happened = func() []group.Event {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	denied := func(second int, name, container, protocol, to string, packets uint64) group.Event {
		d := host.Denial{Container: container, Protocol: protocol, Packets: packets, Bytes: 60 * packets}
		if to != "" {
			d.Destination = netip.MustParseAddrPort(to)
		}
		return group.Event{
			Time: at.Add(time.Duration(second) * time.Second), Group: name, Container: container, Kind: group.EventDenied,
			Text: "packets to " + to, Denial: &d,
		}
	}
	others := denied(3, "checkout", "web", "", "", 512)
	others.Others = 130
	more := others
	more.Time, more.Others = at.Add(5*time.Second), 7
	status := uint32(137)
	return []group.Event{
		{Time: at, Group: "checkout", Kind: group.EventState, State: group.Running, Text: "running"},
		denied(1, "checkout", "web", "tcp", "192.0.2.66:443", 1),
		denied(2, "sold", "job", "udp", "[2001:db8::7]:123", 4),
		denied(3, "checkout", "web", "tcp", "192.0.2.66:443", 2),
		others,
		{Time: at.Add(4 * time.Second), Group: "checkout", Container: "web", Kind: group.EventRestarted, ExitStatus: &status, Text: "ended with status 137, started again"},
		denied(4, "checkout", "", "icmp", "192.0.2.66:0", 1),
		more,
	}
}()

func TestWriteRefusals(t *testing.T) {
	sums := refusals{}
	for _, e := range happened {
		sums.add(e)
	}
	at := happened[len(happened)-1].Time
	want := `
LAST  GROUP     CONTAINER  PROTOCOL  DESTINATION        PACKETS
1m    checkout  web        -         others             1024
1m    checkout  -          icmp      192.0.2.66         1
1m    checkout  web        tcp       192.0.2.66:443     3
1m    sold      job        udp       [2001:db8::7]:123  4
`
	var out strings.Builder
	if err := writeRefusals(&out, sums.sorted(), at.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	out.Reset()
	if err := writeRefusalLines(&out, sums.sorted()[:2]); err != nil {
		t.Fatal(err)
	}
	want = `{"last":"2026-11-24T08:00:05Z","group":"checkout","container":"web","protocol":"","destination":"","packets":1024,"bytes":61440,"others":130}
{"last":"2026-11-24T08:00:04Z","group":"checkout","container":"","protocol":"icmp","destination":"192.0.2.66:0","packets":1,"bytes":60}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What was dropped on its way in has a source, and no container. It adds a column.
func TestWriteRefusalsOnTheirWayIn(t *testing.T) {
	sums := refusals{}
	at := happened[0].Time
	for _, e := range happened[1:3] {
		sums.add(e)
	}
	in := func(second int, source string, packets uint64) {
		d := host.Denial{Packets: packets, Bytes: 60 * packets}
		if source != "" {
			d.Source, d.Protocol, d.Destination = netip.MustParseAddr(source), "tcp", netip.MustParseAddrPort("10.209.0.1:5432")
		}
		sums.add(group.Event{Time: at.Add(time.Duration(second) * time.Second), Group: "checkout", Kind: group.EventDeniedIn, Denial: &d})
	}
	in(3, "198.51.100.7", 2)
	in(4, "", 900)
	in(5, "198.51.100.7", 3)
	want := `
LAST  GROUP     CONTAINER  SOURCE        PROTOCOL  DESTINATION        PACKETS
1m    checkout  -          198.51.100.7  tcp       10.209.0.1:5432    5
1m    checkout  -          others        -         -                  900
1m    sold      job        -             udp       [2001:db8::7]:123  4
1m    checkout  web        -             tcp       192.0.2.66:443     1
`
	var out strings.Builder
	if err := writeRefusals(&out, sums.sorted(), at.Add(65*time.Second)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	out.Reset()
	if err := writeRefusalLines(&out, sums.sorted()[:2]); err != nil {
		t.Fatal(err)
	}
	want = `{"last":"2026-11-24T08:00:05Z","group":"checkout","container":"","source":"198.51.100.7","protocol":"tcp","destination":"10.209.0.1:5432","packets":5,"bytes":300,"inbound":true}
{"last":"2026-11-24T08:00:04Z","group":"checkout","container":"","protocol":"","destination":"","packets":900,"bytes":54000,"inbound":true}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTailOf(t *testing.T) {
	n := func(n lineCount) *lineCount { return &n }
	for _, tt := range []struct {
		asked  *lineCount
		follow bool
		want   int
	}{{nil, false, 0}, {nil, true, 10}, {n(0), true, -1}, {n(5), true, 5}, {n(5), false, 5}} {
		if got := tailOf(tt.asked, tt.follow); got != tt.want {
			t.Errorf("asked for %v, follow %v: %d, want %d", tt.asked, tt.follow, got, tt.want)
		}
	}
}
