package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
)

// A clock advances by one second each time it is read.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

var morning = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// A harness is a journal in a folder of its own.
type harness struct {
	t       *testing.T
	config  journal.Config
	journal *journal.Journal
}

func newHarness(t *testing.T) *harness {
	h := &harness{t: t, config: journal.Config{Layout: layout.Layout{StateDir: t.TempDir()}, Now: (&clock{now: morning}).Now}}
	h.open()
	t.Cleanup(func() { _ = h.journal.Close() })
	return h
}

func (h *harness) open() {
	h.t.Helper()
	var err error
	if h.journal, err = journal.Open(h.config); err != nil {
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

func (h *harness) record(events ...group.Event) {
	h.t.Helper()
	if err := h.journal.Record(events...); err != nil {
		h.t.Fatal(err)
	}
}

// texts returns the texts of the events that a query finds.
func (h *harness) texts(q group.EventQuery) (out []string) {
	h.t.Helper()
	if err := h.journal.Events(context.Background(), q, func(e group.Event) error {
		out = append(out, e.Text)
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *harness) path(name string) string { return filepath.Join(h.config.Layout.EventsDir(), name) }

func event(name string, kind group.EventKind, text string) group.Event {
	return group.Event{Group: name, Kind: kind, Text: text}
}

func TestJournalAnswers(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "1"), event("a", group.EventDenied, "2"))
	h.record(event("b", group.EventDenied, "3"))
	h.record(event("b", group.EventDrift, "4"), event("a", group.EventState, "5"))
	for _, tt := range []struct {
		name  string
		query group.EventQuery
		want  string
	}{
		{"everything", group.EventQuery{}, "2 1 3 4 5"}, // 1 and 2 have the same time
		{"a group's", group.EventQuery{Group: "a"}, "2 1 5"},
		{"a kind's", group.EventQuery{Kinds: []group.EventKind{group.EventState}}, "1 5"},
		{"kinds of a group", group.EventQuery{Group: "b", Kinds: []group.EventKind{group.EventDrift, group.EventDenied}}, "3 4"},
		{"the last", group.EventQuery{Tail: 2}, "4 5"},
		{"the last of a group", group.EventQuery{Tail: 2, Group: "a"}, "1 5"},
		{"more than there are", group.EventQuery{Tail: 9}, "2 1 3 4 5"},
		{"none", group.EventQuery{Tail: -1}, ""},
		{"an unknown group's", group.EventQuery{Group: "c"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(h.texts(tt.query), " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJournalKeepsAnEventWhole(t *testing.T) {
	h := newHarness(t)
	status := uint32(137)
	want := []group.Event{
		{Time: morning.Add(time.Nanosecond), Group: "shop", Container: "web", Kind: group.EventDenied, Text: "3 packets", Others: 2, Denial: &host.Denial{
			Container: "web", Protocol: "tcp", Destination: netip.MustParseAddrPort("[2001:db8::1]:443"), Packets: 3, Bytes: 180,
		}},
		{Time: morning.Add(time.Minute), Group: "shop", Container: "web", Kind: group.EventRestarted, Text: "again", ExitStatus: &status},
		{Time: morning.Add(time.Hour), Group: "shop", Kind: group.EventState, Text: "running", State: group.Running},
	}
	h.record(want...)
	h.reopen()
	var got []group.Event
	if err := h.journal.Events(t.Context(), group.EventQuery{}, func(e group.Event) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b host.Denial) bool { return a == b })); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestJournalIsBounded(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "the first"))
	h.config.MaxFileSize = 4 << 10
	h.reopen()
	for i := range 1000 {
		h.record(event("a", group.EventDenied, fmt.Sprint("denial ", i)))
	}
	total := int64(0)
	for _, name := range []string{"denials.jsonl", "denials.old.jsonl"} {
		info, err := os.Stat(h.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); info.Size() > h.config.MaxFileSize {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	if total < h.config.MaxFileSize {
		t.Errorf("the files have only %d bytes", total)
	}
	got := h.texts(group.EventQuery{})
	if len(got) < 40 || got[0] != "the first" || got[len(got)-1] != "denial 999" || got[1] == "denial 0" {
		t.Errorf("%d events, %q to %q", len(got), got[0], got[len(got)-1])
	}
}

// A daemon that is killed during a write leaves a part of a line.
func TestJournalSkipsTornLines(t *testing.T) {
	for _, torn := range []string{`{"time":"2026-11-24T08:00:00Z","gro`, "\x00\x00\x00", strings.Repeat("x", 100<<10), "{}\nnull\n\"x\"\n"} {
		h := newHarness(t)
		h.record(event("a", group.EventState, "before"))
		if err := h.journal.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(h.path("others.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(torn); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		h.open()
		if got := h.texts(group.EventQuery{}); len(got) != 1 {
			t.Errorf("after %.40q: %q", torn, got)
		}
		h.record(event("a", group.EventState, "after"))
		if got := strings.Join(h.texts(group.EventQuery{}), " "); got != "before after" {
			t.Errorf("after %.40q: %q", torn, got)
		}
	}
}

// A daemon is killed during a rotation: the new file has replaced the old one, and there is no new
// one yet.
func TestJournalKilledDuringRotation(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "before"))
	if err := h.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(h.path("others.jsonl"), h.path("others.old.jsonl")); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.record(event("a", group.EventState, "after"))
	if got := strings.Join(h.texts(group.EventQuery{}), " "); got != "before after" {
		t.Errorf("it has %q", got)
	}
}

// The file was full in the middle of an event when it became the old one. The next file's first
// event is not taken for the rest of that.
func TestJournalTornBeforeTheTurn(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "before"))
	if err := h.journal.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(h.path("others.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path("others.old.jsonl"), append(whole, whole[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(h.path("others.jsonl")); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.record(event("a", group.EventState, "first"), event("a", group.EventState, "second"))
	if got := strings.Join(h.texts(group.EventQuery{}), " "); got != "before first second" {
		t.Errorf("it has %q", got)
	}
}

// Whatever happens to one of its files, before it is opened or while it is open, the journal has
// the events that follow.
func TestJournalWithDamagedFiles(t *testing.T) {
	damages := map[string]func(path string) error{
		"missing":   os.Remove,
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"truncated": func(path string) error { return os.Truncate(path, 30) },
		"garbage":   func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte("\xff\x00{"), 5000), 0o600) },
		"a folder": func(path string) error {
			return errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "more"), 0o700))
		},
		"a pipe": func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
		"newer":  func(path string) error { return os.WriteFile(path, []byte(`{"kind":"odd","version":9}`), 0o600) },
	}
	for what, damage := range damages {
		for _, name := range []string{"denials.jsonl", "denials.old.jsonl", "inbound.jsonl", "others.jsonl", "others.old.jsonl", ""} {
			for _, running := range []bool{false, true} {
				if name == "" && what != "missing" {
					continue
				}
				t.Run(fmt.Sprintf("%s %s, running %v", name, what, running), func(t *testing.T) {
					h := newHarness(t)
					h.config.MaxFileSize = 2000
					h.reopen()
					for i := range 30 {
						h.record(event("a", group.EventDenied, fmt.Sprint(i)), event("a", group.EventState, fmt.Sprint(i)))
					}
					if !running {
						if err := h.journal.Close(); err != nil {
							t.Fatal(err)
						}
					}
					if name == "" {
						if err := os.RemoveAll(h.config.Layout.EventsDir()); err != nil {
							t.Fatal(err)
						}
					} else if err := damage(h.path(name)); err != nil {
						t.Fatal(err)
					}
					if !running {
						h.open()
					}
					h.texts(group.EventQuery{})
					h.record(event("a", group.EventDenied, "denied"), event("a", group.EventState, "entered"))
					for kind, want := range map[group.EventKind]string{group.EventDenied: "denied", group.EventState: "entered"} {
						got := h.texts(group.EventQuery{Kinds: []group.EventKind{kind}})
						if len(got) == 0 || got[len(got)-1] != want {
							t.Errorf("%s: %q", kind, got)
						}
					}
				})
			}
		}
	}
}

// No event is lost if the clock is set by an hour. The last state of a group is still the one that
// it entered last.
func TestJournalWhenTheClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{-time.Hour, time.Hour} {
		h := newHarness(t)
		h.record(event("a", group.EventDenied, "1"), event("a", group.EventState, "2"))
		c := &clock{now: morning.Add(set)}
		h.config.Now = c.Now
		h.reopen()
		h.record(event("a", group.EventState, "3"), event("a", group.EventDenied, "4"))
		if got := h.texts(group.EventQuery{}); len(got) != 4 {
			t.Errorf("set by %s: %q", set, got)
		}
		if got := h.texts(group.EventQuery{Kinds: []group.EventKind{group.EventState}}); strings.Join(got, " ") != "2 3" {
			t.Errorf("set by %s, the states are %q", set, got)
		}
	}
}

func TestJournalShortensTexts(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "a\nb"), event("a", group.EventState, strings.Repeat("é", 1<<20)))
	got := h.texts(group.EventQuery{})
	if len(got) != 2 || got[0] != "a b" || len(got[1]) > 4<<10 {
		t.Errorf("%d events, the first %q", len(got), got[0])
	}
}

func TestJournalFollow(t *testing.T) {
	h := newHarness(t)
	h.record(event("a", group.EventState, "1"), event("a", group.EventState, "2"), event("b", group.EventState, "3"))
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan string), make(chan error, 1)
	go func() {
		ended <- h.journal.Events(ctx, group.EventQuery{Group: "a", Tail: 1, Follow: true}, func(e group.Event) error {
			seen <- e.Text
			return nil
		})
	}()
	if got := <-seen; got != "2" {
		t.Errorf("it begins with %q", got)
	}
	h.record(event("b", group.EventState, "4"), event("a", group.EventState, "5"))
	if got := <-seen; got != "5" {
		t.Errorf("it goes on with %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Events: %v", err)
	}
}

func TestJournalFollowEnds(t *testing.T) {
	full := errors.New("disk full")
	for _, tt := range []struct {
		name string
		emit error
		do   func(h *harness) // in the first call of emit
		want string
	}{
		{"emit fails", full, func(*harness) {}, "disk full"},
		{"too slow", nil, func(h *harness) {
			for range 2000 {
				h.record(event("a", group.EventState, "flood"))
			}
		}, "more than 512 events were not read in time"},
		{"closed", nil, func(h *harness) { _ = h.journal.Close() }, "the journal is closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			h.record(event("a", group.EventState, "1"))
			n := 0
			err := h.journal.Events(t.Context(), group.EventQuery{Follow: true}, func(group.Event) error {
				if n++; n == 1 {
					tt.do(h)
				}
				return tt.emit
			})
			if err == nil || err.Error() != tt.want || n > 600 {
				t.Errorf("error %v after %d events", err, n)
			}
		})
	}
}

// Each follower gets every event once and in order while others record, also across a rotation.
func TestJournalIsSafeForConcurrentUse(t *testing.T) {
	h := newHarness(t)
	h.config.MaxFileSize = 8 << 10
	h.reopen()
	const events = 400
	go func() {
		for i := range events {
			_ = h.journal.Record(event("a", group.EventState, fmt.Sprint(i)))
		}
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := -1
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := h.journal.Events(ctx, group.EventQuery{Follow: true}, func(e group.Event) error {
				i := 0
				if _, err := fmt.Sscan(e.Text, &i); err != nil || last >= 0 && i != last+1 {
					t.Errorf("%q follows %d, %v", e.Text, last, err)
				}
				if last = i; i == events-1 {
					cancel()
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOpenFailsWithoutAFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(journal.Config{Layout: layout.Layout{StateDir: file}}); err == nil {
		t.Error("Open did not fail below a file")
	}
}

// Each event that was written is passed on once, in order and with its time.
func TestRecordedGetsEachEvent(t *testing.T) {
	h := newHarness(t)
	var got []group.Event
	h.config.Recorded = func(e group.Event) { got = append(got, e) }
	if err := h.journal.Close(); err != nil {
		t.Fatal(err)
	}
	h.open()
	if err := h.journal.Record(
		group.Event{Group: "web", Kind: group.EventState, State: group.Running, Text: "running"},
		group.Event{Group: "web", Container: "a", Kind: group.EventDenied, Text: "1 packet\nto 192.0.2.1"},
	); err != nil {
		t.Fatal(err)
	}
	at := morning.Add(time.Second)
	want := []group.Event{
		{Time: at, Group: "web", Kind: group.EventState, State: group.Running, Text: "running"},
		{Time: at, Group: "web", Container: "a", Kind: group.EventDenied, Text: "1 packet to 192.0.2.1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
