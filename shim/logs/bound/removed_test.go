package bound

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/layout"
)

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
