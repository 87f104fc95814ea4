package bound

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

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
