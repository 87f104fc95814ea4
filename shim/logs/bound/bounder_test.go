package bound

import (
	"context"
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

// Those who read the output need no clock: they hear of files that come, grow, also while they are
// looked at by the clock, and go, and of what is asked for.
func TestReportsChanges(t *testing.T) {
	dir := t.TempDir()
	started, changed := make(chan struct{}), make(chan struct{}, 1)
	b, err := New(Config{LogDir: dir, Started: func() { close(started) }, Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	<-started
	output := filepath.Join(dir, "shop", "web.log")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a folder", func() { must(t, os.Mkdir(filepath.Join(dir, "shop"), 0o750)) }},
		{"a file", func() { write(t, output, 10) }},
		{"more in it", func() { write(t, output, 10) }},
		{"more at once", func() { write(t, output, 10) }},
		{"what is asked for", func() { must(t, os.WriteFile(filepath.Join(dir, "shop", SettingsFile), []byte("{}"), 0o600)) }},
		{"its end", func() { must(t, os.Remove(output)) }},
	} {
		step.do()
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Errorf("nothing was reported after %s", step.name)
		}
	}
	cancel()
	must(t, <-done)
}
