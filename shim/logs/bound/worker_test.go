package bound

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/logs/times"
)

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
				d.write(path, 10)
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

// A process that was stopped for a while knows only that what it finds was written by the time of
// the file.
func TestMarksAfterItWasStopped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop", "web.log")
	must(t, os.Mkdir(filepath.Dir(path), 0o750))
	d := newDesk(t, dir, Settings{Size: mib, Removed: time.Hour})
	d.step(true)
	d.write(path, 10)
	d.settle()
	d.clock = d.clock.Add(time.Minute)
	d.write(path, 10)
	written := d.clock
	d.clock = d.clock.Add(time.Hour) // no look until here
	d.settle()
	d.write(path, 10)
	d.settle()
	index := times.Read(path)
	defer index.Close()
	for offset, want := range map[int64]bool{0: true, 10: false, 20: true} {
		at, exact := index.At(offset)
		if exact != want || offset == 10 && !at.Equal(written) {
			t.Errorf("byte %d: at %v (%v), and it is known to within a second is %v", offset, at, exact, want)
		}
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
