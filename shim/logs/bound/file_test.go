package bound

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/logs/times"
)

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
