package bound

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
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

// write is the function of that name, at the time of the desk.
func (d *desk) write(path string, size int) {
	d.t.Helper()
	write(d.t, path, size)
	must(d.t, os.Chtimes(path, d.clock, d.clock))
}
