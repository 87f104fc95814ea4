package bound

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/logs/times"
)

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
	d.write(path, mib)
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

// A file stays as it is, with its times, if nothing of it is freed. One that is freed whole begins
// again.
func TestCollapseAllOrNothing(t *testing.T) {
	for name, kept := range map[string]int{"nothing is freed": 4096, "all is": 0} {
		dir := t.TempDir()
		path := filepath.Join(dir, "shop", "web.log")
		write(t, path, kept)
		write(t, times.Path(path), 10)
		if err := os.Truncate(path, largest+1<<20); err != nil {
			t.Skip(err)
		}
		must(t, Collapse(path))
		log, err := os.Stat(path)
		must(t, err)
		index, err := os.Stat(times.Path(path))
		must(t, err)
		if whole := kept > 0; (log.Size() > largest) != whole || (index.Size() > 0) != whole {
			t.Errorf("%s: %d bytes, and %d of times", name, log.Size(), index.Size())
		}
	}
}
