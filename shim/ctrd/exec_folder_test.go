package ctrd

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

// The streams are removed when they are closed. The note that there may be a process stays.
func TestExecFolder(t *testing.T) {
	c := &Client{cfg: Config{Layout: layout.Layout{RunDir: t.TempDir()}}, execs: newExecIDs()}
	f := c.newExecFolder("shop.web")
	if _, err := os.Stat(c.execsDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is made for a name alone: %v", err)
	}
	set, err := f.fifos(false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(set.Stdout, nil, 0o600); err != nil { // the others don't exist
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(c.execsDir())
	if err != nil || len(left) != 1 {
		t.Fatalf("left: %v, %v", left, err)
	}
	if g := c.execFolder("shop.web", f.exec); g != f || left[0].Name() != filepath.Base(f.path) {
		t.Errorf("%+v is found as %+v, %s", f, g, left[0].Name())
	}
	if inside, err := os.ReadDir(f.path); err != nil || len(inside) > 0 {
		t.Errorf("streams are left: %v, %v", inside, err)
	}
}

func TestExecIDs(t *testing.T) {
	mine, others := newExecIDs(), newExecIDs()
	a, b := mine.next(), mine.next()
	if a == b || !mine.has(a) || !mine.has(b) {
		t.Errorf("not two of its own: %s, %s", a, b)
	}
	if theirs := others.next(); mine.has(theirs) {
		t.Errorf("took %s for its own", theirs)
	}
}

// A process that waits for a reader or a writer doesn't wait any more. What is written is read to
// the end.
func TestDrain(t *testing.T) {
	f := execFolder{path: t.TempDir()}
	out, in := filepath.Join(f.path, "stdout"), filepath.Join(f.path, "stdin")
	for _, path := range []string{out, in} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var waiting, reading sync.WaitGroup
	waiting.Go(func() {
		w, err := os.OpenFile(out, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		if _, err := w.Write(make([]byte, 1<<20)); err != nil { // more than a stream holds
			t.Error(err)
		}
	})
	waiting.Go(func() {
		r, err := os.OpenFile(in, os.O_RDONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_ = r.Close()
	})
	streams := f.drain(&reading)
	waiting.Wait()
	if len(streams) != 2 {
		t.Errorf("%d streams", len(streams))
	}
	for _, s := range streams {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	reading.Wait()
}
