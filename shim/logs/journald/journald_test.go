package journald

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/times"
	"github.com/sallyport/sallyport/shim/logs/wanted"
)

var asked = map[string]wanted.Output{"web": {Journal: true}, "apart": {Journal: true, Split: true}, "plain": {Split: true}}

// Each line is an entry with the fields of its container, in its order. What isn't asked for isn't
// there.
func TestForward(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	d.print("shop", "web.log", "one\n\nbytes \x00\xff=\x1b\nGROUP=evil\n")
	d.print("shop", "apart.log", "out\n")
	d.print("shop", "apart.err.log", "err\n")
	d.print("shop", "plain.log", "not asked\n")
	d.want("other", nil)
	d.print("other", "web.log", "not asked either\n")
	d.run(j)
	j.until("all lines", func() bool { return len(j.messages()) == 6 })
	d.want("other", asked)
	j.until("and those that are asked for now", func() bool { return len(j.messages()) == 7 })

	entry := func(group, container, stream, priority, message string) map[string]string {
		e := map[string]string{"GROUP": group, "CONTAINER": container, "PRIORITY": priority, "SYSLOG_IDENTIFIER": group + "." + container, "MESSAGE": message}
		if stream != "" {
			e["STREAM"] = stream
		}
		return e
	}
	want := []map[string]string{
		entry("shop", "apart", "stdout", "6", "out"),
		entry("shop", "apart", "stderr", "3", "err"),
		entry("shop", "web", "", "6", "one"),
		entry("shop", "web", "", "6", ""),
		entry("shop", "web", "", "6", "bytes \x00\xff=\x1b"),
		entry("shop", "web", "", "6", "GROUP=evil"),
		entry("other", "web", "", "6", "not asked either"),
	}
	if diff := cmp.Diff(want, j.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A value with a newline can't begin another field.
func TestEntryWithNewline(t *testing.T) {
	got, err := parseEntry(lineEntry(source{group: "shop", container: "web"}, moment{}, []byte("x\nGROUP=evil\n")))
	if err != nil || got["GROUP"] != "shop" || got["MESSAGE"] != "x\nGROUP=evil\n" {
		t.Errorf("got %v, %v", got, err)
	}
}

// Once all is sent, the output is looked at after a change and not by the clock. What can't be sent
// now is tried again by the clock.
func TestLooksAfterChanges(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	d.print("shop", "web.log", "zero\n")
	changed := make(chan struct{}, 1)
	d.runOn(j, changed)
	j.until("what is there at the start", func() bool { return len(j.messages()) == 1 })
	d.print("shop", "web.log", "one\n")
	time.Sleep(50 * time.Millisecond) // for many looks, if there were any
	if got := j.messages(); len(got) > 1 {
		t.Fatalf("sent without a change: %q", got)
	}
	changed <- struct{}{}
	j.until("what was printed before the change", func() bool { return len(j.messages()) == 2 })
	d.print("shop", "web.log", "two, without its end")
	changed <- struct{}{}
	j.until("a line that waits for its end", func() bool { return len(j.messages()) == 3 })
}

// The buffer for lines takes memory only where a group asks for the journal.
func TestBufferIsMadeWhenNeeded(t *testing.T) {
	for _, journal := range []bool{true, false} {
		d, j := newFolder(t, map[string]wanted.Output{"web": {Journal: journal}}), newJournal(t)
		if journal {
			j.take()
		}
		d.print("shop", "web.log", "one\n")
		f := newForwarder(Config{LogDir: d.dir, Socket: j.path})
		defer f.socket.close()
		f.pass(t.Context())
		if made := f.buf != nil; made != journal {
			t.Errorf("asked for the journal: %v, and there is a buffer: %v", journal, made)
		}
	}
}

// After a rest, a new line is not one that was printed long before.
func TestNewLineAfterARest(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	d.print("shop", "web.log", "one\n")
	f := newForwarder(Config{LogDir: d.dir, Socket: j.path})
	defer f.socket.close()
	f.pass(t.Context())
	if f.waits || len(f.states) == 0 {
		t.Fatalf("it waits: %v, with %d files", f.waits, len(f.states))
	}
	now := time.Now().Add(time.Hour)
	f.rested(now)
	for path, s := range f.states {
		if now.Sub(s.allSent) <= lateAfter {
			t.Errorf("what %s has had for an hour counts as new", path)
		}
		if err := os.Chtimes(path, now, now); err != nil {
			t.Fatal(err)
		}
	}
	f.rested(now)
	for path, s := range f.states {
		if now.Sub(s.allSent) > lateAfter {
			t.Errorf("what %s has now counts as late", path)
		}
	}
}

// A line that fits into no datagram comes in a sealed file, and one that is longer still in pieces.
func TestLongLines(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	long := strings.Repeat("0123456789abcdef", maxLine/16)
	d.print("shop", "web.log", long[:maxLine-1]+"\n"+long+long+"end\n"+"short\n")
	d.run(j)
	want := []string{long[:maxLine-1], long, long, "end", "short"}
	j.until("all pieces", func() bool { return len(j.messages()) >= len(want) })
	for i, got := range j.messages() {
		if i >= len(want) || got != want[i] {
			t.Errorf("entry %d has %d bytes", i, len(got))
		}
	}
	if j.files != 3 {
		t.Errorf("%d entries came in files, want 3", j.files)
	}
}

// A line without an end waits for it, and comes as it is after a while.
func TestUnendedLine(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	d.print("shop", "web.log", "prompt> ")
	d.run(j)
	j.until("the prompt", func() bool { return len(j.messages()) == 1 })
	d.print("shop", "web.log", "answer\n")
	j.until("the answer", func() bool { return len(j.messages()) == 2 })
	if got, want := j.messages(), []string{"prompt> ", "answer"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A forwarder that ends in good order sends nothing twice, and nothing is lost while none runs.
func TestGoesOn(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	var want []string
	for i := range 5 {
		d.print("shop", "web.log", fmt.Sprintf("line %d\n", i))
		want = append(want, fmt.Sprintf("line %d", i))
		end := d.run(j)
		j.until("the line", func() bool { return len(j.messages()) > i })
		end()
	}
	if diff := cmp.Diff(want, j.messages()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := os.WriteFile(positionPath(filepath.Join(d.dir, "shop"), "web"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run(j)
	j.until("all of it again, as the position is lost", func() bool { return len(j.messages()) == 10 })
	if diff := cmp.Diff(append(want, want...), j.messages()); diff != "" {
		t.Errorf("after damage (-want +got):\n%s", diff)
	}
}

// A file that was cut or replaced is sent from its start.
func TestAnotherFile(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	d.print("shop", "web.log", "first file\n")
	d.run(j)
	j.until("the first file", func() bool { return len(j.messages()) == 1 })
	if err := os.Truncate(d.path("shop", "web.log"), 0); err != nil {
		t.Fatal(err)
	}
	d.print("shop", "web.log", "cut\n")
	j.until("the cut file", func() bool { return len(j.messages()) == 2 })
	if err := os.WriteFile(d.path("shop", "new"), []byte("another one, with more\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.path("shop", "new"), d.path("shop", "web.log")); err != nil {
		t.Fatal(err)
	}
	j.until("the other file", func() bool { return slices.Contains(j.messages(), "another one, with more") })
}

// Output that was not sent before its group was removed is sent from where it is kept.
func TestRemovedGroup(t *testing.T) {
	d, j := newFolder(t, asked), newJournal(t)
	d.print("shop", "web.log", "last words\n")
	if err := os.Mkdir(filepath.Join(d.dir, layout.RemovedOutput), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(d.dir, "shop"), filepath.Join(d.dir, layout.RemovedOutput, "shop@1764448800")); err != nil {
		t.Fatal(err)
	}
	d.want("shop", asked)
	d.print("shop", "web.log", "of the next\n")
	j.take()
	d.run(j)
	j.until("both", func() bool { return len(j.messages()) == 2 })
	for _, e := range j.entries {
		if e["GROUP"] != "shop" {
			t.Errorf("got %v", e)
		}
	}
}

// While the journal is away, and while it takes nothing, output waits, and those who print do not.
func TestJournalAwayOrFull(t *testing.T) {
	const lines = 3000
	for name, begin := range map[string]func(j *journal){
		"away": func(j *journal) { j.leave() },
		"full": func(*journal) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, j := newFolder(t, asked), newJournal(t)
			begin(j)
			d.run(j)
			for i := range lines {
				d.print("shop", "web.log", fmt.Sprintf("line %d\n", i))
			}
			time.Sleep(10 * time.Millisecond) // some looks that can't send all
			if name == "away" {
				j.listen()
			}
			j.take()
			j.until("all lines", func() bool { return j.count() >= lines })
			for i, got := range j.messages() {
				if got != fmt.Sprintf("line %d", i) {
					t.Fatalf("entry %d is %q", i, got)
				}
			}
		})
	}
}

// What comes late has when it was written, as far as that is known, and what comes at once has the
// time of its entry.
func TestTimeOfLateLines(t *testing.T) {
	f := newFolder(t, map[string]wanted.Output{"web": {Journal: true}})
	index, err := times.Open(f.path("shop", "web.log"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	f.print("shop", "web.log", "before\none\ntwo\nunknown\n")
	if err := errors.Join(index.MarkLate(7, noon), index.Mark(11, noon.Add(time.Second)), index.Mark(15, noon.Add(2*time.Second))); err != nil {
		t.Fatal(err)
	}
	j := newJournal(t)
	j.take()
	f.run(j)
	j.until("the late lines", func() bool { return j.has("unknown") })
	f.print("shop", "web.log", "now\n")
	if err := index.Mark(27, noon.Add(3*time.Second)); err != nil {
		t.Fatal(err)
	}
	j.until("the new line", func() bool { return j.has("now") })
	j.mu.Lock()
	defer j.mu.Unlock()
	var got []string
	for _, e := range j.entries {
		got = append(got, e["MESSAGE"]+" "+e["OUTPUT_TIME"]+" "+e["OUTPUT_BEFORE"])
	}
	want := []string{"before  2026-11-29T12:00:00.000Z", "one 2026-11-29T12:00:01.000Z ", "two 2026-11-29T12:00:02.000Z ", "unknown  ", "now  "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// Output that was freed before it was sent is counted, to the byte. What follows is whole lines.
func TestFreedHead(t *testing.T) {
	const line = "0123456789abcdef0123456789abcdef0123456789abc%05d\n" // 51 bytes: no page ends with one
	d, j := newFolder(t, asked), newJournal(t)
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, line, i)
	}
	d.print("shop", "web.log", text.String())
	f, err := os.OpenFile(d.path("shop", "web.log"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	free := func(upto int64) {
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, upto); err != nil {
			t.Fatal(err)
		}
	}
	free(16 << 12)
	j.take()
	d.run(j)
	first := (16<<12)/51 + 1
	j.until("the rest", func() bool { return len(j.messages()) == 2000-first+1 })
	if got, want := j.entries[0]["OUTPUT_MISSED"], strconv.Itoa(first*51); got != want || j.entries[0]["PRIORITY"] != "4" || !strings.HasPrefix(j.entries[0]["MESSAGE"], want+" bytes") {
		t.Errorf("the first entry is %v, want %s bytes missed", j.entries[0], want)
	}
	for i, got := range j.messages()[1:] {
		if got+"\n" != fmt.Sprintf(line, first+i) {
			t.Fatalf("entry %d is %q", i, got)
		}
	}
	free(24 << 12) // what was sent is not missed
	d.print("shop", "web.log", "end\n")
	j.until("the end", func() bool { return slices.Contains(j.messages(), "end") })
	for _, e := range j.entries[1:] {
		if e["OUTPUT_MISSED"] != "" {
			t.Errorf("got %v", e)
		}
	}
}

// Output is freed while lines are sent. A line is whole or missed, and all bytes are one of both.
func TestFreedMeanwhile(t *testing.T) {
	const line, lines = "line %06d of a program that prints without end 0123456789abcdef\n", 40000
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	f, err := os.OpenFile(d.path("shop", "web.log"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d.run(j)
	length := int64(len(fmt.Sprintf(line, 0)))
	for i := 0; i < lines; i += 500 {
		var text strings.Builder
		for k := range 500 {
			fmt.Fprintf(&text, line, i+k)
		}
		d.print("shop", "web.log", text.String())
		if upto := (int64(i+500)*length - 64<<10) &^ 4095; upto > 0 {
			if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, upto); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := strings.TrimSuffix(fmt.Sprintf(line, lines-1), "\n")
	j.until("the last line", func() bool { return j.has(last) })
	next, missed := int64(0), 0
	for _, e := range j.entries {
		if n := e["OUTPUT_MISSED"]; n != "" {
			count, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			next += count
			missed++
			continue
		}
		if e["MESSAGE"]+"\n" != fmt.Sprintf(line, next/length) || next%length != 0 {
			t.Fatalf("at byte %d: %q", next, e["MESSAGE"])
		}
		next += length
	}
	if next != lines*length {
		t.Errorf("%d bytes are accounted for, want %d", next, lines*length)
	}
	t.Logf("%d gaps", missed)
}

// A forwarder that is killed at any time loses nothing. What comes twice comes in its order.
func TestKilled(t *testing.T) {
	const lines = 30000
	d, j := newFolder(t, asked), newJournal(t)
	j.take()
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 0; i < lines; i += 100 {
			var text strings.Builder
			for k := range 100 {
				fmt.Fprintf(&text, "line %d\n", i+k)
			}
			d.print("shop", "web.log", text.String())
		}
	}()
	kills := 0
	for done := false; !done; kills++ {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), forwarding+"="+d.dir+":"+j.path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last, more := fmt.Sprintf("line %d", lines-1), j.count()+1+rand.IntN(8000)
		j.until("more lines", func() bool { return j.count() >= more || j.has(last) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		done = j.has(last)
	}
	<-written
	next, reached, again := 0, 0, 0
	for _, got := range j.messages() {
		n, err := strconv.Atoi(strings.TrimPrefix(got, "line "))
		switch {
		case err != nil || n > next:
			t.Fatalf("got %q, want line %d or one before", got, next)
		case n < reached:
			again++
		}
		next = n + 1
		reached = max(reached, next)
	}
	t.Logf("%d kills; %d of %d lines came again", kills, again, lines)
}
