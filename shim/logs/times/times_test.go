package times

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var start = time.UnixMilli(1_790_000_000_000)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// newIndex returns an index with these marks, and the path of its output file.
func newIndex(t *testing.T, marks ...mark) (*Writer, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "app.log")
	w, err := Open(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	for _, m := range marks {
		if err := w.add(m); err != nil {
			t.Fatal(err)
		}
	}
	return w, log
}

// many returns n marks, a second and 100 bytes apart.
func many(n int) (marks []mark) {
	for i := range n {
		marks = append(marks, mark{offset: int64(i+1) * 100, millis: start.UnixMilli() + int64(i+1)*1000})
	}
	return marks
}

func marksOf(t *testing.T, log string) (marks []mark) {
	t.Helper()
	f, err := os.Open(Path(log))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := eachMark(f, func(m mark, _ place) bool { marks = append(marks, m); return true }); err != nil {
		t.Fatal(err)
	}
	return marks
}

func diffMarks(want, got []mark) string { return cmp.Diff(want, got, cmp.AllowUnexported(mark{})) }

func TestPath(t *testing.T) {
	for log, want := range map[string]string{"/l/g/app.log": "/l/g/app.times", "/l/g/app.err.log": "/l/g/app.err.times"} {
		if got := Path(log); got != want {
			t.Errorf("Path(%q) = %q, want %q", log, got, want)
		}
	}
}

func TestAt(t *testing.T) {
	w, log := newIndex(t)
	for _, err := range []error{w.MarkLate(50, at(-60)), w.Mark(100, at(1)), w.Mark(100, at(2)), w.Mark(300, at(3.5))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := Read(log)
	defer m.Close()
	for _, tt := range []struct {
		offset int64
		want   time.Time
		exact  bool
	}{
		{-1, time.Time{}, false}, {0, at(-60), false}, {49, at(-60), false}, {50, at(1), true}, {99, at(1), true},
		{100, at(3.5), true}, {299, at(3.5), true}, {300, time.Time{}, false},
	} {
		got, exact := m.At(tt.offset)
		if !got.Equal(tt.want) || exact != tt.exact {
			t.Errorf("At(%d) = %v, %v, want %v, %v", tt.offset, got, exact, tt.want, tt.exact)
		}
	}
	if last, when := m.Last(); last != 300 || !when.Equal(at(3.5)) || w.Last() != 300 {
		t.Errorf("Last: %d at %v and %d, want 300", last, when, w.Last())
	}
	if err := w.Mark(400, at(4)); err != nil {
		t.Fatal(err)
	}
	m.Refresh()
	if got, exact := m.At(399); !got.Equal(at(4)) || !exact {
		t.Errorf("after Refresh: At(399) = %v, %v", got, exact)
	}
}

// More marks than a page has, looked up in any order.
func TestManyMarks(t *testing.T) {
	marks := many(5000)
	_, log := newIndex(t, marks...)
	if diff := diffMarks(marks, marksOf(t, log)); diff != "" {
		t.Fatal(diff)
	}
	if info, err := os.Stat(Path(log)); err != nil || info.Size() > 6*5000 {
		t.Errorf("the index takes %d bytes, more than 6 a mark (%v)", info.Size(), err)
	}
	m := Read(log)
	defer m.Close()
	for i := range marks {
		k := (i * 2039) % len(marks) // a prime: each once, in no order
		for _, offset := range []int64{marks[k].offset - 100, marks[k].offset - 1} {
			if got, exact := m.At(offset); !got.Equal(marks[k].time()) || !exact {
				t.Fatalf("At(%d) = %v, %v, want %v", offset, got, exact, marks[k].time())
			}
		}
	}
}

func TestOffset(t *testing.T) {
	_, log := newIndex(t, append(many(5000),
		mark{offset: 600_000, millis: at(-100).UnixMilli()}, mark{offset: 700_000, millis: at(-98).UnixMilli()})...)
	m := Read(log)
	defer m.Close()
	for _, tt := range []struct {
		name string
		t    time.Time
		want int64
	}{
		{"before all", at(-1000), 0},
		{"after all", at(9000), 700_000},
		{"a clock that was set back", at(-99), 600_000},
		{"the time of a mark", at(-98), 600_000},
		{"of two that have it, the later one", at(10), 700_000},
	} {
		if got := m.Offset(tt.t); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}

	_, log = newIndex(t, many(5000)...)
	m = Read(log)
	defer m.Close()
	for _, n := range []int64{1, 2, 999, 5000} {
		if got, want := m.Offset(at(float64(n))), (n-1)*100; got != want {
			t.Errorf("Offset of second %d: got %d, want %d", n, got, want)
		}
	}
}

func TestUntil(t *testing.T) {
	_, log := newIndex(t, mark{offset: 100, millis: at(1).UnixMilli()}, mark{offset: 200, millis: at(2).UnixMilli()},
		mark{offset: 300, millis: at(60).UnixMilli(), late: true}, mark{offset: 400, millis: at(61).UnixMilli()},
		mark{offset: 500, millis: at(-9).UnixMilli()}, mark{offset: 600, millis: at(-8).UnixMilli()}, mark{offset: 700, millis: at(99).UnixMilli()})
	m := Read(log)
	defer m.Close()
	for _, tt := range []struct {
		name string
		t    time.Time
		want int64
	}{
		{"before all", at(-100), 0},
		{"a clock that was set back", at(-9), 500},
		{"the same, a second later", at(-8), 600},
		{"after all", at(100), math.MaxInt64},
	} {
		if got := m.Until(tt.t); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}

	_, log = newIndex(t, mark{offset: 100, millis: at(1).UnixMilli()}, mark{offset: 200, millis: at(2).UnixMilli()},
		mark{offset: 300, millis: at(60).UnixMilli(), late: true}, mark{offset: 400, millis: at(61).UnixMilli()})
	m = Read(log)
	defer m.Close()
	for _, tt := range []struct {
		name string
		t    time.Time
		want int64
	}{
		{"at a mark", at(1), 100},
		{"between marks", at(1.5), 100},
		{"while nothing watched: what may be of then", at(30), 300},
	} {
		if got := m.Until(tt.t); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestNoIndex(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "dir.times"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "garbage.times"), bytes.Repeat([]byte("SPT\x00garbage"), 9999), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"missing", "dir", "garbage"} {
		m := Read(filepath.Join(folder, name+".log"))
		got, exact := m.At(0)
		if last, _ := m.Last(); !got.IsZero() || exact || m.Offset(at(0)) != 0 || m.Until(at(0)) != math.MaxInt64 || last != 0 {
			t.Errorf("%s: got %v, %v", name, got, exact)
		}
		m.Close()
	}
	if got, _ := new(Marks).At(0); !got.IsZero() {
		t.Errorf("the zero value: got %v", got)
	}
}

// A power cut leaves any beginning of an index, or zeros at its end. What is whole stays, and the
// writer goes on.
func TestTornEnd(t *testing.T) {
	marks := many(900) // a page and a bit
	_, log := newIndex(t, marks...)
	whole, err := os.ReadFile(Path(log))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		if cut > 80 && cut < pageSize-30 || cut > pageSize+40 && cut < len(whole)-20 {
			continue // the same again
		}
		for _, torn := range [][]byte{whole[:cut], append(bytes.Clone(whole[:cut]), make([]byte, 5000)...)} {
			if err := os.WriteFile(Path(log), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			kept := marksOf(t, log)
			if diff := diffMarks(marks[:len(kept)], kept); len(kept) > 0 && diff != "" {
				t.Fatalf("cut at %d: %s", cut, diff)
			}
			w, err := Open(log, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(kept) > 0 && w.Last() != kept[len(kept)-1].offset {
				t.Fatalf("cut at %d: Last is %d", cut, w.Last())
			}
			if err := w.MarkLate(100_000, at(1000)); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			if diff := diffMarks(append(kept, mark{100_000, at(1000).UnixMilli(), true}), marksOf(t, log)); diff != "" {
				t.Fatalf("cut at %d, then continued: %s", cut, diff)
			}
		}
	}
}

// Garbage inside costs the marks of one page. The bytes up to the next mark have a latest time.
func TestSpoiltPage(t *testing.T) {
	marks := many(4000)
	_, log := newIndex(t, marks...)
	whole, err := os.ReadFile(Path(log))
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]int{"its head": pageSize, "its middle": pageSize + 2000, "its end": 2*pageSize - 100} {
		for what, garbage := range map[string]byte{"zeros": 0, "ones": 0xff, "text": 'x'} {
			spoilt := bytes.Clone(whole)
			for i := from; i < 2*pageSize; i++ {
				spoilt[i] = garbage
			}
			if err := os.WriteFile(Path(log), spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			kept := marksOf(t, log)
			late, missing := 0, len(marks)-len(kept)
			for _, m := range kept {
				if m.late {
					late++
				}
			}
			if late != 1 || missing == 0 || missing > 900 {
				t.Errorf("%s, %s: %d marks are missing and %d are late, want a page and one", name, what, missing, late)
			}
			m := Read(log)
			for _, want := range marks {
				got, exact := m.At(want.offset - 1)
				if exact && !got.Equal(want.time()) || got.Before(want.time()) {
					t.Fatalf("%s, %s: At(%d) = %v, %v, and it was %v", name, what, want.offset-1, got, exact, want.time())
				}
			}
			m.Close()
		}
	}
}

func TestDrop(t *testing.T) {
	marks := many(20_000) // about 20 pages
	w, log := newIndex(t, marks...)
	w.limit = 1 << 20
	for _, before := range []int64{0, 50_000, 1_900_050} {
		if err := w.Drop(before); err != nil {
			t.Fatal(err)
		}
		m := Read(log)
		for _, want := range marks {
			if got, exact := m.At(want.offset - 1); want.offset > before && (!got.Equal(want.time()) || !exact) {
				t.Fatalf("after Drop(%d): At(%d) = %v, %v, want %v", before, want.offset-1, got, exact, want.time())
			}
		}
		m.Close()
	}
	if info, err := os.Stat(Path(log)); err != nil || info.Size() > 2*pageSize*3 {
		t.Errorf("the index still has %d bytes (%v)", info.Size(), err)
	}
	if err := w.Mark(w.Last()+1, at(30_000)); err != nil {
		t.Fatal(err)
	}
	if got := marksOf(t, log); got[len(got)-1].millis != at(30_000).UnixMilli() {
		t.Errorf("a mark after Drop is missing: the last is %v", got[len(got)-1])
	}
}

// An index above its limit keeps the times of the newer half, and never a wrong one.
func TestDropThinsOut(t *testing.T) {
	marks := many(60_000)
	w, log := newIndex(t, marks...)
	for range 20 {
		if err := w.Drop(0); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(Path(log))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > w.limit {
		t.Errorf("the index has %d bytes, above its limit of %d", info.Size(), w.limit)
	}
	m := Read(log)
	defer m.Close()
	exacts := 0
	for _, want := range marks {
		got, exact := m.At(want.offset - 1)
		if exact && !got.Equal(want.time()) || got.Before(want.time()) {
			t.Fatalf("At(%d) = %v, %v, and it was %v", want.offset-1, got, exact, want.time())
		}
		if exact {
			exacts++
		}
	}
	if _, exact := m.At(marks[len(marks)-1000].offset - 1); !exact || exacts < 5000 {
		t.Errorf("of 60000 times, %d are exact", exacts)
	}
}

// What lies where an index belongs and is none is not written to, and has no times.
func TestNoPlainIndex(t *testing.T) {
	for name, put := range map[string]func(path, elsewhere string) error{
		"link":   func(path, elsewhere string) error { return os.Symlink(elsewhere, path) },
		"pipe":   func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"folder": func(path, _ string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log, elsewhere := filepath.Join(dir, "app.log"), filepath.Join(dir, "precious")
			text := appendHead(nil, mark{offset: 100, millis: 1})
			if err := errors.Join(os.WriteFile(elsewhere, text, 0o600), put(Path(log), elsewhere)); err != nil {
				t.Fatal(err)
			}
			marks := Read(log)
			defer marks.Close()
			if last, _ := marks.Last(); last != 0 {
				t.Errorf("it has times up to %d", last)
			}
			if w, err := Open(log, 0); err == nil {
				_ = w.Mark(200, start)
				_ = w.Close()
				t.Error("it is opened")
			}
			if got, err := os.ReadFile(elsewhere); err != nil || !bytes.Equal(got, text) {
				t.Errorf("the file that the link leads to has %q, %v", got, err)
			}
		})
	}
}

// A file that seems to be very large is no index. It is not read to its end, and it begins again.
func TestVeryLargeIndex(t *testing.T) {
	_, log := newIndex(t, mark{offset: 100, millis: 1})
	if err := os.Truncate(Path(log), 2<<40); err != nil {
		t.Skip(err)
	}
	marks := Read(log)
	defer marks.Close()
	if last, _ := marks.Last(); last != 0 {
		t.Errorf("it has times up to %d", last)
	}
	w, err := Open(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Mark(200, start); err != nil {
		t.Fatal(err)
	}
	if diff := diffMarks([]mark{{offset: 200, millis: start.UnixMilli()}}, marksOf(t, log)); diff != "" {
		t.Error(diff)
	}
}

// A folder that was moved away keeps its index, and a new one of that name stays as it is.
func TestDropOfMovedIndex(t *testing.T) {
	w, log := newIndex(t, many(20_000)...)
	if err := os.Rename(Path(log), log+".removed"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Path(log), []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Drop(1_900_000); err == nil {
		t.Error("Drop has no error")
	}
	if got, err := os.ReadFile(Path(log)); err != nil || string(got) != "another's" {
		t.Errorf("the other index has %d bytes (%v)", len(got), err)
	}
}

func TestOutputBeginsAgain(t *testing.T) {
	w, log := newIndex(t, many(3000)...)
	if err := w.Mark(40, at(9000)); err != nil {
		t.Fatal(err)
	}
	if diff := diffMarks([]mark{{offset: 40, millis: at(9000).UnixMilli()}}, marksOf(t, log)); diff != "" {
		t.Error(diff)
	}
}

// A mark that can't be written is missing, so the next one is late.
func TestFullDisk(t *testing.T) {
	w, log := newIndex(t, mark{offset: 10, millis: 1000})
	writable := w.f
	readOnly, err := os.Open(Path(log))
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	w.f = readOnly
	if err := w.Mark(20, time.UnixMilli(2000)); err == nil {
		t.Fatal("a write that fails has no error")
	}
	w.f = writable
	for _, err := range []error{w.Mark(30, time.UnixMilli(3000)), w.Mark(40, time.UnixMilli(4000))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := diffMarks([]mark{{10, 1000, false}, {30, 3000, true}, {40, 4000, false}}, marksOf(t, log)); diff != "" {
		t.Error(diff)
	}
}

// Any bytes are an index: its marks have ascending offsets, and a writer continues it.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{})
	for _, n := range []int{1, 3, 2000} {
		p := &pager{w: new(file)}
		for _, m := range many(n) {
			_ = p.add(m)
		}
		_ = p.flush()
		f.Add(p.w.(*file).content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		log := filepath.Join(t.TempDir(), "app.log")
		if err := os.WriteFile(Path(log), content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := marksOf(t, log)
		var last int64
		for _, m := range before {
			if m.offset <= last {
				t.Fatalf("offset %d after %d", m.offset, last)
			}
			last = m.offset
		}
		m := Read(log)
		defer m.Close()
		for _, k := range before {
			if got, exact := m.At(k.offset - 1); !got.Equal(k.time()) || exact == k.late {
				t.Fatalf("At(%d) = %v, %v, and the mark is %v", k.offset-1, got, exact, k)
			}
		}
		w, err := Open(log, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		next := mark{offset: last + 1, millis: 5}
		if next.offset < last || w.Last() != last {
			return
		}
		if err := w.add(next); err != nil {
			t.Fatal(err)
		}
		if diff := diffMarks(append(before, next), marksOf(t, log)); diff != "" {
			t.Error(diff)
		}
	})
}

// A file holds what is written, in memory.
type file struct{ content []byte }

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	f.content = append(f.content[:min(int(at), len(f.content))], make([]byte, max(0, int(at)-len(f.content)))...)
	f.content = append(f.content, b...)
	return len(b), nil
}
