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

// A lodge is where a poller sits: doors in memory, a journal and a run folder on disk. The clock is synctest's.
type lodge struct {
	t       *testing.T
	layout  layout.Layout
	journal *journal.Journal
	doors   *hosttest.Host
	config  denials.Config
	end     func() // the poller's
	told    int    // events that were asked for already
}

func inLodge(t *testing.T, do func(t *testing.T, l *lodge)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := &lodge{t: t, layout: layout.Layout{StateDir: dir, RunDir: filepath.Join(dir, "run")}, doors: hosttest.New(nil)}
		l.open()
		defer func() { _ = l.journal.Close() }()
		l.config = denials.Config{
			Door: l.doors, Groups: func() []string { return []string{"shop", "job"} }, Layout: l.layout, Most: 3,
		}
		l.begin()
		defer func() { l.end() }()
		do(t, l)
	})
}

func (l *lodge) open() {
	l.t.Helper()
	var err error
	if l.journal, err = journal.Open(journal.Config{Layout: l.layout}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lodge) reopen() {
	l.t.Helper()
	if err := l.journal.Close(); err != nil {
		l.t.Fatal(err)
	}
	l.open()
}

func (l *lodge) path(name string) string { return filepath.Join(l.layout.EventsDir(), name) }

// begin starts a poller, which looks at once.
func (l *lodge) begin() {
	l.t.Helper()
	l.config.Journal = l.journal
	p, err := denials.New(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	l.end = func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("Run: %v", err)
		}
		l.end = func() {}
	}
	synctest.Wait()
}

// says compares what was recorded since it was asked last, a second later.
func (l *lodge) says(want ...string) {
	l.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	var got []string
	if err := l.journal.Events(context.Background(), group.EventQuery{}, func(e group.Event) error {
		got = append(got, strings.Trim(e.Group+"."+e.Container, ".")+": "+e.Text)
		return nil
	}); err != nil {
		l.t.Fatal(err)
	}
	fresh := got[min(l.told, len(got)):]
	l.told = len(got)
	if !slices.Equal(want, fresh) {
		l.t.Errorf("events (-want +got):\n%s", cmp.Diff(want, fresh))
	}
}

var (
	webToBank = denial("web", "192.0.2.1:443", 0)
	jobToNTP  = host.Denial{Container: "job", Protocol: "udp", Destination: netip.MustParseAddrPort("[2001:db8::7]:123"), Bytes: 48}
)

func TestPollerRecordsWhatIsNew(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
		l.says()
		l.doors.Refuse("shop", webToBank, 1)
		l.says("shop.web: 1 packet to 192.0.2.1:443/tcp")
		l.says()
		l.doors.Refuse("shop", webToBank, 2)
		l.doors.Refuse("job", jobToNTP, 1)
		l.says("shop.web: 2 packets to 192.0.2.1:443/tcp", "job.job: 1 packet to [2001:db8::7]:123/udp")
		l.doors.ForgetDenials("shop")
		l.says()
		l.doors.Refuse("shop", webToBank, 1)
		l.says("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

func TestPollerAddsUpAFlood(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
		for i := range 1000 {
			l.doors.Refuse("shop", denial("web", fmt.Sprintf("192.0.2.1:%d", 1000+i), 0), uint64(2000-i))
		}
		l.says("shop.web: 2000 packets to 192.0.2.1:1000/tcp", "shop.web: 1999 packets to 192.0.2.1:1001/tcp",
			"shop.web: 1998 packets to 192.0.2.1:1002/tcp", "shop.web: and 1494503 more packets to 997 other destinations")
	})
}

func TestPollerTellsOfQuotas(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
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
			{120 * mib, 500 * mib, nil}, // the operator gave more
			{500 * mib, 500 * mib, []string{"shop: the quota of 500MiB is spent: nothing goes in or out any more"}},
			{0, 0, nil},
			{0, 100 * mib, nil},
			{100 * mib, 100 * mib, []string{"shop: the quota of 100MiB is spent: nothing goes in or out any more"}},
		} {
			l.doors.Spend("shop", tt.used, tt.quota)
			l.says(tt.want...)
			l.end()
			l.begin() // which tells nothing again
			l.says()
		}
	})
}

func TestPollerOfTheNextDaemon(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
		l.doors.Refuse("shop", webToBank, 3)
		l.says("shop.web: 3 packets to 192.0.2.1:443/tcp")
		l.end()
		l.doors.Refuse("shop", webToBank, 2)
		l.doors.Refuse("job", jobToNTP, 1)
		l.reopen()
		l.begin()
		l.says("shop.web: 2 packets to 192.0.2.1:443/tcp", "job.job: 1 packet to [2001:db8::7]:123/udp")
	})
}

// A daemon may be killed after it has noted what it saw and before all of it is in the journal: cut is how many bytes of the
// journal's end are not there.
func TestPollerOfAKilledDaemon(t *testing.T) {
	want := []string{"shop.web: 3 packets to 192.0.2.1:443/tcp", "shop.web: 2 packets to 192.0.2.2:443/tcp", "shop.job: 1 packet to [2001:db8::7]:123/udp"}
	inLodge(t, func(t *testing.T, l *lodge) {
		l.doors.Refuse("shop", webToBank, 3)
		l.doors.Refuse("shop", denial("web", "192.0.2.2:443", 0), 2)
		l.doors.Refuse("shop", jobToNTP, 1)
		l.says(want...)
		whole, err := os.ReadFile(l.path("denials.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for cut := 0; cut <= len(whole); cut += 7 {
			l.end()
			if err := os.Truncate(l.path("denials.jsonl"), int64(len(whole)-cut)); err != nil {
				t.Fatal(err)
			}
			l.reopen()
			l.begin()
			l.told = 0
			l.says(want...)
			if t.Failed() {
				t.Fatalf("after a cut of %d bytes", cut)
			}
		}
	})
}

func TestPollerForgetsGroups(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
		l.end()
		var removed atomic.Bool
		l.config.Groups = func() []string {
			if removed.Load() {
				return nil
			}
			return []string{"shop"}
		}
		l.begin()
		for _, want := range [][]string{{"shop.web: 1 packet to 192.0.2.1:443/tcp"}, {"shop.web: 1 packet to 192.0.2.1:443/tcp"}, nil} {
			l.doors.Refuse("shop", webToBank, 1)
			l.says(want...)
		}
		path := l.config.Layout.DenialsPath("shop")
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		removed.Store(true)
		l.says("shop.web: 1 packet to 192.0.2.1:443/tcp") // what was owed
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its note is still there: %v", err)
		}
	})
}

func TestPollerGoesOn(t *testing.T) {
	inLodge(t, func(t *testing.T, l *lodge) {
		l.doors.Refuse("shop", webToBank, 1)
		l.says("shop.web: 1 packet to 192.0.2.1:443/tcp")
		for range 3 {
			l.doors.FailNext("observe denials", errors.New("boom"))
			l.doors.Refuse("shop", webToBank, 1)
			l.says()
		}
		l.says("shop.web: 3 packets to 192.0.2.1:443/tcp")
		if err := l.journal.Close(); err != nil { // as if the disk were full
			t.Fatal(err)
		}
		l.doors.Refuse("shop", webToBank, 1)
		l.says()
		l.end()
		l.open()
		l.begin()
		l.says("shop.web: 1 packet to 192.0.2.1:443/tcp")
	})
}

func TestNewPollerNeeds(t *testing.T) {
	if _, err := denials.New(denials.Config{Groups: func() []string { return nil }}); err == nil {
		t.Error("made of nothing")
	}
}

// BenchmarkPollerIdle is a look at 20 groups of which nothing is new, each with 100 destinations that were refused before.
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
