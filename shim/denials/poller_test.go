package denials_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/denials"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
)

// A harness has a poller with counters in memory, and a journal and a run folder on disk. Its clock
// is synctest's.
type harness struct {
	t       *testing.T
	layout  layout.Layout
	journal *journal.Journal
	doors   *hosttest.Host
	groups  atomic.Pointer[[]string] // that are polled
	config  denials.Config
	poller  *denials.Poller
	told    bool   // the host reports changes of counts
	stop    func() // ends the poller
	read    int    // events that wantEvents has compared already
}

// withHarness runs a test with a host that reports when counts change, and with one that does not.
func withHarness(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprint("told ", told), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { runHarness(t, told, do) }) })
	}
}

func runHarness(t *testing.T, told bool, do func(t *testing.T, h *harness)) {
	t.Helper()
	dir := t.TempDir()
	h := &harness{t: t, told: told, layout: layout.Layout{StateDir: dir, RunDir: filepath.Join(dir, "run")}, doors: hosttest.New(nil)}
	h.groups.Store(&[]string{"shop", "job"})
	h.open()
	defer func() { _ = h.journal.Close() }()
	h.config = denials.Config{
		Door: h.doors, Groups: func() []string { return *h.groups.Load() }, Layout: h.layout, MaxEvents: 3,
	}
	h.start()
	defer func() { h.stop() }()
	do(t, h)
}

func (h *harness) open() {
	h.t.Helper()
	var err error
	if h.journal, err = journal.Open(journal.Config{Layout: h.layout}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) reopen() {
	h.t.Helper()
	if err := h.journal.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *harness) path(name string) string { return filepath.Join(h.layout.EventsDir(), name) }

// start starts a poller. It polls at once.
func (h *harness) start() {
	h.t.Helper()
	h.config.Journal = h.journal
	p, err := denials.New(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.poller = p; h.told {
		h.doors.TellDenials(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		h.stop = func() {}
	}
	synctest.Wait()
}

// wantEvents waits a second, and compares the events that were recorded since its last call.
func (h *harness) wantEvents(want ...string) {
	h.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	var got []string
	if err := h.journal.Events(context.Background(), group.EventQuery{}, func(e group.Event) error {
		got = append(got, strings.Trim(e.Group+"."+e.Container, ".")+": "+e.Text)
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	added := got[min(h.read, len(got)):]
	h.read = len(got)
	if !slices.Equal(want, added) {
		h.t.Errorf("events (-want +got):\n%s", cmp.Diff(want, added))
	}
}

var (
	webToBank = denial("web", "192.0.2.1:443", 0)
	jobToNTP  = host.Denial{Container: "job", Protocol: "udp", Destination: netip.MustParseAddrPort("[2001:db8::7]:123"), Bytes: 48}
)

// What can't be read keeps back no event of what can.
func TestPartlyReadCounts(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.wantEvents()
		for range 100 {
			h.doors.FailNextDone("observe denials", errors.New("no answer"))
		}
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		h.wantEvents()
		h.doors.ForgetFaults()
		h.doors.Refuse("job", jobToNTP, 1)
		h.wantEvents("job.job: 1 packet to [2001:db8::7]:123/udp")
	})
}

func TestPollerRecordsWhatIsNew(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.wantEvents()
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		h.wantEvents()
		h.doors.Refuse("shop", webToBank, 2)
		h.doors.Refuse("job", jobToNTP, 1)
		h.wantEvents("shop.web: 2 packets to 192.0.2.1:443/tcp", "job.job: 1 packet to [2001:db8::7]:123/udp")
		h.doors.ForgetDenials("shop")
		h.wantEvents()
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

func TestPollerAddsUpAFlood(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		for i := range 1000 {
			h.doors.Refuse("shop", denial("web", fmt.Sprintf("192.0.2.1:%d", 1000+i), 0), uint64(2000-i))
		}
		h.wantEvents("shop.web: 2000 packets to 192.0.2.1:1000/tcp", "shop.web: 1999 packets to 192.0.2.1:1001/tcp",
			"shop.web: 1998 packets to 192.0.2.1:1002/tcp", "shop.web: and 1494503 more packets to 997 other destinations")
	})
}

// What is dropped on its way in has events of its own kind. A flood of sources is added up, and one
// daemon goes on where another has ended.
func TestPollerRecordsWhatIsKeptOut(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		from := func(source string) host.Denial {
			return host.Denial{Source: netip.MustParseAddr(source), Protocol: "tcp", Destination: netip.MustParseAddrPort("10.209.0.1:5432"), Bytes: 60}
		}
		h.doors.Refuse("shop", webToBank, 1)
		h.doors.KeepOut("shop", from("192.0.2.7"), 2)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp", "shop: 2 packets from 192.0.2.7 to 10.209.0.1:5432/tcp")
		h.wantEvents()
		h.stop()
		h.doors.KeepOut("shop", from("192.0.2.7"), 1)
		h.reopen()
		h.start()
		h.wantEvents("shop: 1 packet from 192.0.2.7 to 10.209.0.1:5432/tcp")
		for i := range 100 {
			h.doors.KeepOut("job", from(fmt.Sprint("198.51.100.", i)), uint64(200-i))
		}
		h.doors.KeepOut("job", host.Denial{Bytes: 60}, 1000)
		h.wantEvents("job: 200 packets from 198.51.100.0 to 10.209.0.1:5432/tcp", "job: 199 packets from 198.51.100.1 to 10.209.0.1:5432/tcp",
			"job: 198 packets from 198.51.100.2 to 10.209.0.1:5432/tcp", "job: and 15453 more packets from other sources")
		if diff := cmp.Diff(map[string]uint64{"shop": 1, "job": 16050}, h.poller.DeniedInbound()); diff != "" {
			t.Errorf("since the daemon started (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]map[string]uint64{}, h.poller.Denied()); diff != "" {
			t.Errorf("of containers (-want +got):\n%s", diff)
		}
		for name, want := range map[string]bool{"denials.jsonl": false, "inbound.jsonl": true} {
			lines, err := os.ReadFile(h.path(name))
			if got := strings.Contains(string(lines), "198.51.100.2"); err != nil || got != want {
				t.Errorf("%s has an inbound denial: %v, %v; want %v", name, got, err, want)
			}
		}
	})
}

func TestPollerReportsQuotas(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		const mib = 1 << 20
		for _, tt := range []struct {
			used, quota uint64
			want        []string
		}{
			{10 * mib, 100 * mib, nil},
			{90 * mib, 100 * mib, []string{"shop: 90MiB of the quota of 100MiB are used"}},
			{95 * mib, 100 * mib, nil},
			{100 * mib, 100 * mib, []string{"shop: the quota of 100MiB is spent: nothing goes in or out any more"}},
			{120 * mib, 100 * mib, nil},
			{120 * mib, 500 * mib, nil}, // the operator has raised the quota
			{500 * mib, 500 * mib, []string{"shop: the quota of 500MiB is spent: nothing goes in or out any more"}},
			{0, 0, nil},
			{0, 100 * mib, nil},
			{100 * mib, 100 * mib, []string{"shop: the quota of 100MiB is spent: nothing goes in or out any more"}},
		} {
			h.doors.Spend("shop", tt.used, tt.quota)
			h.wantEvents(tt.want...)
			h.stop()
			h.start() // it records nothing twice
			h.wantEvents()
		}
	})
}

func TestPollerAfterARestart(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.doors.Refuse("shop", webToBank, 3)
		h.wantEvents("shop.web: 3 packets to 192.0.2.1:443/tcp")
		h.stop()
		h.doors.Refuse("shop", webToBank, 2)
		h.doors.Refuse("job", jobToNTP, 1)
		h.reopen()
		h.start()
		h.wantEvents("shop.web: 2 packets to 192.0.2.1:443/tcp", "job.job: 1 packet to [2001:db8::7]:123/udp")
	})
}

// A daemon is killed after it has written a snapshot and before all events are in the journal. cut
// is the number of bytes that are missing at the journal's end.
func TestPollerAfterAKill(t *testing.T) {
	want := []string{"shop.web: 3 packets to 192.0.2.1:443/tcp", "shop.web: 2 packets to 192.0.2.2:443/tcp", "shop.job: 1 packet to [2001:db8::7]:123/udp"}
	withHarness(t, func(t *testing.T, h *harness) {
		h.doors.Refuse("shop", webToBank, 3)
		h.doors.Refuse("shop", denial("web", "192.0.2.2:443", 0), 2)
		h.doors.Refuse("shop", jobToNTP, 1)
		h.wantEvents(want...)
		whole, err := os.ReadFile(h.path("denials.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for cut := 0; cut <= len(whole); cut += 7 {
			h.stop()
			if err := os.Truncate(h.path("denials.jsonl"), int64(len(whole)-cut)); err != nil {
				t.Fatal(err)
			}
			h.reopen()
			h.start()
			h.read = 0
			h.wantEvents(want...)
			if t.Failed() {
				t.Fatalf("after a cut of %d bytes", cut)
			}
		}
	})
}

func TestPollerForgetsGroups(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.stop()
		var removed atomic.Bool
		h.config.Groups = func() []string {
			if removed.Load() {
				return nil
			}
			return []string{"shop"}
		}
		h.start()
		for _, want := range [][]string{{"shop.web: 1 packet to 192.0.2.1:443/tcp"}, {"shop.web: 1 packet to 192.0.2.1:443/tcp"}, nil} {
			h.doors.Refuse("shop", webToBank, 1)
			h.wantEvents(want...)
		}
		path := h.config.Layout.DenialsPath("shop")
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		removed.Store(true)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp") // the unreported rest
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its snapshot is still there: %v", err)
		}
	})
}

func TestPollerRecoversFromFailures(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
		for range 3 {
			h.doors.FailNext("observe denials", errors.New("boom"))
			h.doors.Refuse("shop", webToBank, 1)
			h.wantEvents()
		}
		h.wantEvents("shop.web: 3 packets to 192.0.2.1:443/tcp")
		if err := h.journal.Close(); err != nil { // as if the disk were full
			t.Fatal(err)
		}
		h.doors.Refuse("shop", webToBank, 1)
		h.wantEvents()
		h.stop()
		h.open()
		h.start()
		h.wantEvents("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

func TestNewChecksItsConfig(t *testing.T) {
	if _, err := denials.New(denials.Config{Groups: func() []string { return nil }}); err == nil {
		t.Error("New did not fail")
	}
}

// BenchmarkPollerIdle polls 20 groups without changes. Each has 100 destinations that were refused
// before.
func BenchmarkPollerIdle(b *testing.B) {
	layout := layout.Layout{StateDir: b.TempDir(), RunDir: b.TempDir()}
	journal, err := journal.Open(journal.Config{Layout: layout})
	if err != nil {
		b.Fatal(err)
	}
	defer journal.Close()
	doors := hosttest.New(nil)
	var groups []string
	for i := range 20 {
		groups = append(groups, fmt.Sprint("group", i))
		for port := range 100 {
			doors.Refuse(groups[i], denial("web", fmt.Sprintf("192.0.2.1:%d", 1+port), 0), 1)
		}
	}
	p, err := denials.New(denials.Config{Door: doors, Groups: func() []string { return groups }, Journal: journal, Layout: layout})
	if err != nil {
		b.Fatal(err)
	}
	denials.Poll(p)
	b.ReportAllocs()
	for b.Loop() {
		denials.Poll(p)
	}
}
