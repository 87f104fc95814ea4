package bound

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/times"
)

// A desk is a bounder that makes one pass at a time, at the times of a clock of its own.
type desk struct {
	*Bounder
	t     *testing.T
	clock time.Time
	set   time.Duration // how far the host's clock was set
	log   bytes.Buffer
	top   int
}

func newDesk(t *testing.T, dir string, s Settings) *desk {
	t.Helper()
	d := &desk{t: t, clock: time.Unix(1_800_000_000, 0)}
	must(t, WriteSettings(dir, s))
	b, err := New(Config{LogDir: dir, Log: slog.New(slog.NewTextHandler(&d.log, nil))})
	must(t, err)
	b.now = func() time.Time { return d.clock }
	b.wall = func() time.Time { return d.clock.Add(d.set) }
	b.disk = func(string) (disk, error) { return disk{size: 1 << 50, free: 1 << 50}, nil }
	b.events, err = newInotify()
	must(t, err)
	d.Bounder = b
	d.top, err = b.events.watch(dir, structure)
	must(t, err)
	b.settingsStale, b.foldersStale = true, true
	t.Cleanup(func() {
		for _, w := range b.worker.writers {
			_ = w.Close()
		}
		_ = b.events.close()
	})
	return d
}

// step takes the events that there are, makes a pass, and does what the worker is asked for.
func (d *desk) step(first bool) (next time.Time) {
	d.t.Helper()
	events, err := d.events.wait(0)
	must(d.t, err)
	for _, e := range events {
		d.note(e, d.top)
	}
	next = d.pass(first)
	for d.worker.step() {
	}
	return next
}

// settle steps until no output is due, and returns how often it looked.
func (d *desk) settle() (steps int) {
	d.t.Helper()
	for ; ; steps++ {
		if steps > 1000 {
			d.t.Fatal("it never rests")
		}
		next := d.step(false)
		resting := true
		for _, f := range d.folders {
			resting = resting && f.resting && f.due.IsZero()
		}
		if events, err := d.events.wait(0); err != nil || len(events) > 0 {
			for _, e := range events {
				d.note(e, d.top)
			}
			continue
		}
		if resting {
			return steps
		}
		if next.After(d.clock) {
			d.clock = next
		}
	}
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o750))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	must(t, err)
	_, err = f.Write(bytes.Repeat([]byte("x"), size))
	must(t, errors.Join(err, f.Close()))
}

const mib = 1 << 20

func TestTrimsToItsLimit(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	write(t, path, 5*mib)
	write(t, filepath.Join(dir, "shop", "db.log"), 5*mib)
	must(t, os.WriteFile(filepath.Join(dir, "shop", SettingsFile), []byte(`{"version":1,"containers":{"web":{"size":2097152}}}`), 0o600))
	d := newDesk(t, dir, Settings{Size: 3 * mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	want := func(name string, size int64) {
		t.Helper()
		if got := allocated(filepath.Join(dir, "shop", name)); got < size || got > size+size/10 {
			t.Errorf("%s takes %d bytes, want %d", name, got, size)
		}
	}
	want("web.log", 2*mib)
	want("db.log", 3*mib)
	b, err := os.ReadFile(path)
	must(t, err)
	if len(b) != 5*mib || b[0] != 0 || b[3*mib] != 'x' || b[5*mib-1] != 'x' {
		t.Error("other bytes than the head are freed")
	}

	// It grows further, its file asks for more, and another container appears.
	write(t, path, 3*mib)
	d.settle()
	want("web.log", 2*mib)
	must(t, os.WriteFile(filepath.Join(dir, "shop", SettingsFile), []byte(`{"version":1,"containers":{"web":{"size":4194304}}}`), 0o600))
	write(t, path, 5*mib)
	write(t, filepath.Join(dir, "shop", "db.err.log"), 5*mib)
	d.settle()
	want("web.log", 4*mib)
	want("db.err.log", 3*mib)
	write(t, filepath.Join(dir, "other", "app.log"), 5*mib)
	d.settle()
	if got := allocated(filepath.Join(dir, "other", "app.log")); got > 3*mib+3*mib/10 {
		t.Errorf("a group that came later takes %d bytes", got)
	}
	// The daemon's settings change.
	must(t, WriteSettings(dir, Settings{Size: mib, Removed: time.Hour}))
	d.settle()
	want("db.log", mib)
	want("web.log", 4*mib)
}

// While nothing is written there is nothing to do, at no time.
func TestRests(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	write(t, path, 100)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	if next := d.step(false); !next.IsZero() {
		t.Errorf("the next look is at %v", next)
	}
	// A line is written, and again.
	for range 3 {
		d.clock = d.clock.Add(time.Minute)
		write(t, path, 100)
		if steps := d.settle(); steps > 5 {
			t.Errorf("%d looks for a line", steps)
		}
	}
	// What others write into the folder is no output.
	write(t, filepath.Join(dir, "shop", "notes.txt"), 100)
	if next := d.step(false); !next.IsZero() {
		t.Errorf("after a file that is no output, the next look is at %v", next)
	}
}

// Each byte has a time that is right to within a second, at any pace of the writer.
func TestMarksTimes(t *testing.T) {
	for _, pace := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second} {
		t.Run(pace.String(), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "shop", "web.log")
			must(t, os.Mkdir(filepath.Dir(path), 0o750))
			d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
			next := d.step(true)
			var written []time.Time
			for range 50 {
				for at := d.clock.Add(pace); ; {
					if next.IsZero() || next.After(at) {
						d.clock = at
						break
					}
					d.clock = next
					next = d.step(false)
				}
				write(t, path, 10)
				written = append(written, d.clock)
				next = d.step(false)
			}
			d.settle()
			index := times.Read(path)
			defer index.Close()
			for i, at := range written {
				got, exact := index.At(int64(i * 10))
				if !exact || got.Before(at.Truncate(time.Millisecond)) || got.Sub(at) > time.Second {
					t.Fatalf("line %d: written at %v, and the index has %v (%v)", i, at, got, exact)
				}
			}
		})
	}
}

// The files grow at full speed between any two looks, and stay within 1.1 of a limit: of one
// file's, of the total, and of what the disk has left.
func TestHoldsAtFullSpeed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings Settings
		free     int64 // with what the output takes
		want     int64 // of all files together
	}{
		{"the limit of each", Settings{Size: 8 * mib, Total: 1 << 40}, 1 << 50, 3 * 8 * mib},
		{"the total", Settings{Size: 50 * mib, Total: 16 * mib}, 1 << 50, 16 * mib},
		{"the disk", Settings{Size: 50 * mib, Total: 1 << 40}, 40 * mib, 20 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			var paths []string
			for i := range 3 { // of a group each
				paths = append(paths, filepath.Join(dir, fmt.Sprint("shop", i), "web.log"))
				write(t, paths[i], 1)
			}
			d := newDesk(t, dir, tt.settings)
			all := func() (sum int64) {
				for _, path := range paths {
					sum += allocated(path)
				}
				return sum
			}
			d.disk = func(string) (disk, error) { return disk{size: 1 << 50, free: tt.free - all()}, nil }
			next := d.step(true)
			for written := 0; written < 100*mib; {
				if next.IsZero() { // it rests, and the first write wakes it
					next = d.clock.Add(time.Millisecond)
				}
				grown := int(next.Sub(d.clock).Seconds() * fullSpeed)
				for _, path := range paths {
					write(t, path, grown/len(paths))
				}
				written += grown
				if got := all(); got > tt.want+tt.want/10 {
					t.Fatalf("%.2f of the limit", float64(got)/float64(tt.want))
				}
				d.clock = next
				next = d.step(false)
			}
			if got := all(); got < tt.want*9/10 {
				t.Errorf("only %d bytes are kept", got)
			}
		})
	}
}

// What was written while nothing watched has a latest time: the file's.
func TestMarksLate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	write(t, path, 100)
	at := time.Unix(1_700_000_000, 0)
	must(t, os.Chtimes(path, at, at))
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	index := times.Read(path)
	defer index.Close()
	if got, exact := index.At(0); exact || !got.Equal(at) {
		t.Errorf("got %v, %v; want at most %v", got, exact, at)
	}
}

// A file that is truncated or replaced begins again.
func TestOutputBeginsAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	write(t, path, 5*mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	check := func(what string) {
		t.Helper()
		d.settle()
		if got := allocated(path); got < mib || got > mib+mib/10 {
			t.Errorf("%s: %d bytes", what, got)
		}
		index := times.Read(path)
		defer index.Close()
		info, err := os.Stat(path)
		must(t, err)
		if last, _ := index.Last(); last != info.Size() {
			t.Errorf("%s: the index ends at %d, the output at %d", what, last, info.Size())
		}
	}
	must(t, os.Truncate(path, 0))
	d.settle()
	write(t, path, 3*mib)
	check("truncated")
	must(t, errors.Join(os.Remove(path), os.Remove(times.Path(path))))
	write(t, path, 4*mib)
	check("replaced")
	must(t, os.RemoveAll(filepath.Dir(path)))
	write(t, path, 4*mib)
	check("its folder, too")
}

func TestTotal(t *testing.T) {
	dir := t.TempDir()
	for i, size := range []int{mib / 2, 3 * mib, 8 * mib} {
		write(t, filepath.Join(dir, "shop", fmt.Sprintf("app%d.log", i)), size)
	}
	old, newer := filepath.Join(dir, layout.RemovedOutput, "shop@1799999000"), filepath.Join(dir, layout.RemovedOutput, "shop@1799999100")
	write(t, filepath.Join(old, "app.log"), 2*mib)
	write(t, filepath.Join(newer, "app.log"), 2*mib)
	there := func(path string) bool { _, err := os.Stat(path); return err == nil }

	d := newDesk(t, dir, Settings{Size: 50 * mib, Total: 14 * mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	if there(old) || !there(newer) {
		t.Error("the oldest of the removed output does not go first")
	}
	if got := d.used(); got > 14*mib || got < 13*mib {
		t.Errorf("all output takes %d bytes", got)
	}
	must(t, WriteSettings(dir, Settings{Size: 50 * mib, Total: 4 * mib, Removed: time.Hour}))
	d.settle()
	if there(newer) {
		t.Error("removed output stays, and the total is reached")
	}
	if got := d.used(); got > 4*mib+4*mib/10 || got < 3*mib {
		t.Errorf("all output takes %d bytes", got)
	}
	if got := allocated(filepath.Join(dir, "shop", "app0.log")); got < mib/2 {
		t.Errorf("the smallest was trimmed to %d bytes", got)
	}
	if n := strings.Count(d.log.String(), "all output together is at its limit"); n != 1 {
		t.Errorf("reported %d times", n)
	}
}

// Output never takes more of the disk than it leaves free.
func TestLittleRoom(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	must(t, os.Mkdir(filepath.Dir(path), 0o750))
	d := newDesk(t, dir, Settings{Size: 50 * mib, Removed: time.Hour})
	d.disk = func(string) (disk, error) { return disk{size: 1 << 40, free: 10*mib - d.used()}, nil }
	d.step(true)
	for range 50 {
		write(t, path, mib/4)
		d.settle()
		if got := allocated(path); got > 5*mib+5*mib/10 {
			t.Fatalf("it takes %d bytes of 10 MiB", got)
		}
	}
	if got := allocated(path); got < 4*mib {
		t.Errorf("it keeps %d bytes", got)
	}
}

func TestExpires(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, layout.RemovedOutput, "not ours"), 0o750))
	path := filepath.Join(dir, layout.RemovedOutput, "shop@1800000000")
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	write(t, filepath.Join(path, "web.log"), 100) // the daemon renames it to there
	next := d.step(false)
	if want := time.Unix(1_800_003_600, 0); !next.Equal(want) {
		t.Fatalf("the next thing is due at %v, want %v", next, want)
	}
	d.clock = next.Add(-time.Second)
	d.step(false)
	if _, err := os.Stat(path); err != nil {
		t.Fatal("deleted before its time", err)
	}
	d.clock = next
	if next := d.step(false); !next.IsZero() {
		t.Errorf("then the next thing is due at %v", next)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("removed output stays", err)
	}
	if _, err := os.Stat(filepath.Join(dir, layout.RemovedOutput, "not ours")); err != nil {
		t.Error(err)
	}
}

// The clock of a host without a battery is set some time after its boot. What was removed before
// stays for its time, and so does what has a time to come.
func TestExpiresWhenTheClockIsSet(t *testing.T) {
	dir := t.TempDir()
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	for name, set := range map[string]time.Duration{"before": -50 * 365 * 24 * time.Hour, "ahead": 24 * time.Hour} {
		d.set = set
		path := filepath.Join(dir, layout.RemovedOutput, fmt.Sprintf("%s@%d", name, d.wall().Unix()))
		write(t, filepath.Join(path, "web.log"), 100)
		d.step(false)
		d.set = 0
		d.clock = d.clock.Add(time.Hour - time.Second)
		d.step(false)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%s: deleted before its time: %v", name, err)
		}
		d.clock = d.clock.Add(time.Second)
		d.step(false)
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: it stays: %v", name, err)
		}
	}
}

// Removed output is measured once: there may be thousands, and the limits are held meanwhile.
func TestMeasuresRemovedOutputOnce(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, layout.RemovedOutput, "shop@1799999000")
	write(t, filepath.Join(old, "web.log"), mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	before := d.used()
	write(t, filepath.Join(old, "web.log"), mib) // shows whether it is measured again
	write(t, filepath.Join(dir, layout.RemovedOutput, "shop@1799999100", "web.log"), mib)
	d.step(false)
	if got := d.used() - before; got < mib || got > mib+mib/2 {
		t.Errorf("then %d bytes more are used, want those of the new one", got)
	}
}

// A file system that can't free the head of a file loses all of it, and this is reported once.
func TestCantFree(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	must(t, os.Mkdir(filepath.Dir(path), 0o750))
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.free = func(*os.File, int64) error { return os.NewSyscallError("fallocate", unix.EOPNOTSUPP) }
	d.step(true)
	for range 20 {
		write(t, path, mib/4)
		d.settle()
		if got := allocated(path); got > mib+mib/10 {
			t.Fatalf("%d bytes", got)
		}
	}
	if n := strings.Count(d.log.String(), "can't free the head"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, d.log.String())
	}
}

// An error is reported once for a file, and the others are bounded.
func TestCantTrim(t *testing.T) {
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "shop", "bad.log"), filepath.Join(dir, "shop", "good.log")
	write(t, bad, 3*mib)
	write(t, good, 3*mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.free = func(f *os.File, upto int64) error {
		if f.Name() == bad {
			return unix.EIO
		}
		return punch(f, upto)
	}
	d.step(true)
	d.settle()
	write(t, bad, mib)
	d.settle()
	if got := allocated(good); got > mib+mib/10 {
		t.Errorf("the other takes %d bytes", got)
	}
	if n := strings.Count(d.log.String(), "output not trimmed"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, d.log.String())
	}
}

// What is no plain file of a container's output is left alone.
func TestLeavesOthersAlone(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	write(t, elsewhere, 3*mib)
	must(t, os.Mkdir(filepath.Join(dir, "shop"), 0o750))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "shop", "web.log")))
	must(t, unix.Mkfifo(filepath.Join(dir, "shop", "pipe.log"), 0o600))
	write(t, filepath.Join(dir, "shop", "notes.txt"), 3*mib)
	must(t, os.Symlink(filepath.Dir(elsewhere), filepath.Join(dir, "linked")))
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	for _, path := range []string{elsewhere, filepath.Join(dir, "shop", "notes.txt")} {
		if got := allocated(path); got < 3*mib {
			t.Errorf("%s has %d bytes left", path, got)
		}
	}
}

// In a folder that others have files in, such as /var/log, a folder is a group's if the daemon has
// put settings there.
func TestSharedFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "syslog"), 100)
	theirs, ours := filepath.Join(dir, "nginx", "access.log"), filepath.Join(dir, "shop", "web.log")
	write(t, theirs, 3*mib)
	write(t, ours, 3*mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	must(t, os.WriteFile(filepath.Join(dir, "shop", SettingsFile), []byte(`{"version":1}`), 0o600))
	d.settle()
	if got := allocated(ours); got > mib+mib/10 {
		t.Errorf("the group's takes %d bytes", got)
	}
	write(t, theirs, mib)
	d.settle()
	if got := allocated(theirs); got < 4*mib {
		t.Errorf("another program's has %d bytes left", got)
	}
}

// The folder of all output may go away, and then there is nothing to bound.
func TestEndsWithItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(dir, 0o750))
	started, done := make(chan struct{}), make(chan error, 1)
	b, err := New(Config{LogDir: dir, Started: func() { close(started) }})
	must(t, err)
	lock, err := Lock(dir)
	must(t, err)
	defer lock.Close()
	go func() { done <- b.Run(t.Context()) }()
	<-started
	must(t, os.RemoveAll(dir))
	must(t, <-done)
}

// A file whose offsets are large gets small ones, and keeps what it has. The process that bounds it
// goes on.
func TestCollapse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	must(t, Collapse(path)) // there is none
	write(t, path, 3*mib)
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.settle()
	must(t, Collapse(path))
	if info, err := os.Stat(path); err != nil || info.Size() != 3*mib {
		t.Fatalf("a small file has %d bytes, %v", info.Size(), err)
	}
	if err := os.Truncate(path, largest+1<<20); err != nil {
		t.Skip(err) // a file system with small files
	}
	write(t, path, 2*mib)
	d.settle()
	kept := allocated(path)
	must(t, Collapse(path))
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > largest {
		t.Skip("this file system can't collapse a file, and has larger ones")
	}
	if got := allocated(path); got != kept {
		t.Errorf("%d bytes are kept of %d", got, kept)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if head := len(text) - int(kept); head < collapseUnit || head > 2*collapseUnit || text[0] != 0 || text[len(text)-1] != 'x' {
		t.Errorf("%d bytes, of which %d are kept", len(text), kept)
	}
	d.clock = d.clock.Add(time.Hour)
	write(t, path, mib)
	d.settle()
	if got := allocated(path); got < mib || got > mib+mib/10 {
		t.Errorf("then it takes %d bytes", got)
	}
	index := times.Read(path)
	defer index.Close()
	if at, exact := index.At(int64(len(text))); !exact || !at.Equal(d.clock) && d.clock.Sub(at) > 2*time.Second {
		t.Errorf("what comes then has the time %v (%v), want %v", at, exact, d.clock)
	}
}
