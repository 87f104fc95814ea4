package logs

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/logs/times"
	"github.com/sallyport/sallyport/shim/logs/wanted"
)

var noon = time.UnixMilli(1_790_000_000_000)

// writeAt appends to a container's file and marks it, as if it were some seconds after noon.
func (d folder) writeAt(file File, seconds int, text string) {
	d.t.Helper()
	at := noon.Add(time.Duration(seconds) * time.Second)
	f, err := os.OpenFile(file.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	d.must(err)
	_, err = f.WriteString(text)
	d.must(err)
	info, err := f.Stat()
	d.must(err)
	d.must(f.Close())
	w, err := times.Open(file.Path, math.MaxInt64)
	d.must(err)
	d.must(w.Mark(info.Size(), at))
	d.must(w.Close())
	d.must(os.Chtimes(file.Path, at, at))
}

// timedText returns a line with its seconds after noon: "5 web text", "<5 web text" or "? web
// text".
func timedText(l Line) string {
	switch seconds := itoa(int(l.Time.Sub(noon) / time.Second)); {
	case l.Time.IsZero():
		return "? " + text(l)
	case l.Latest:
		return "<" + seconds + " " + text(l)
	default:
		return seconds + " " + text(l)
	}
}

func copyTimed(t *testing.T, opt Options, files ...File) (got []string) {
	t.Helper()
	if err := Copy(t.Context(), files, opt, func(l Line) error { got = append(got, timedText(l)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

func (d folder) split(container string) []File {
	return []File{
		{container, "stdout", d.file(container).Path}, {container, "stderr", d.dir + "/" + container + ".err.log"},
	}
}

func TestTimes(t *testing.T) {
	d := newFolder(t)
	a, b := d.file("a"), d.file("b")
	d.writeAt(a, 1, "1\n2\nhal")
	d.writeAt(b, 2, "3\n")
	d.writeAt(a, 3, "f\n4\n")
	d.writeAt(b, 3, "5\n")
	d.writeAt(b, 9, "6\n")
	d.writeAt(a, 10, "7\n")
	old := d.file("old")
	d.write("old", "0\n")
	d.must(os.Chtimes(old.Path, noon, noon.Add(5*time.Second)))
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	for _, tt := range []struct {
		name  string
		opt   Options
		files []File
		want  []string
	}{
		{"one", Options{Times: true}, []File{a}, []string{"1 a 1", "1 a 2", "3 a half", "3 a 4", "10 a 7"}},
		{"merged", Options{Times: true}, []File{a, b}, []string{"1 a 1", "1 a 2", "2 b 3", "3 a half", "3 a 4", "3 b 5", "9 b 6", "10 a 7"}},
		{"times were not asked for", Options{}, []File{b}, []string{"? b 3", "? b 5", "? b 6"}},
		{"the last ones of each", Options{Times: true, Tail: 1}, []File{a, b}, []string{"9 b 6", "10 a 7"}},
		{"since", Options{Since: at(3)}, []File{a, b}, []string{"3 a half", "3 a 4", "3 b 5", "9 b 6", "10 a 7"}},
		{"since now", Options{Since: at(11)}, []File{a, b}, nil},
		{"until", Options{Until: at(3)}, []File{a, b}, []string{"1 a 1", "1 a 2", "2 b 3", "3 a half", "3 a 4", "3 b 5"}},
		{"until the middle of a line", Options{Until: at(2)}, []File{a, b}, []string{"1 a 1", "1 a 2", "2 b 3"}},
		{"before all", Options{Until: at(0)}, []File{a, b}, nil},
		{"both", Options{Since: at(2), Until: at(9)}, []File{a, b}, []string{"2 b 3", "3 a half", "3 a 4", "3 b 5", "9 b 6"}},
		{"the last ones until", Options{Until: at(3), Tail: 1}, []File{a, b}, []string{"3 a 4", "3 b 5"}},
		{"more than there are since", Options{Since: at(9), Tail: 7}, []File{a, b}, []string{"9 b 6", "10 a 7"}},
		{"a file without an index", Options{Times: true}, []File{b, old}, []string{"<5 old 0", "2 b 3", "3 b 5", "9 b 6"}},
		{"which was written before", Options{Since: at(6)}, []File{old}, nil},
		{"which may be in the range", Options{Since: at(4), Until: at(4)}, []File{old}, []string{"<5 old 0"}},
		{"no file", Options{Times: true, Since: at(1), Until: at(2)}, []File{d.file("none")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, copyTimed(t, tt.opt, tt.files...)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// Output that has no mark yet is at most as old as the mark before it, and not newer than the file.
func TestTimesOfWhatHasNoMarkYet(t *testing.T) {
	d := newFolder(t)
	d.writeAt(d.file("a"), 1, "1\n")
	d.write("a", "2\n")
	d.must(os.Chtimes(d.file("a").Path, noon, noon.Add(1900*time.Millisecond)))
	if diff := cmp.Diff([]string{"1 a 1", "1 a 2"}, copyTimed(t, Options{Times: true}, d.file("a"))); diff != "" {
		t.Errorf("a steady printer (-want +got):\n%s", diff)
	}
	d.must(os.Chtimes(d.file("a").Path, noon, noon.Add(3*time.Second)))
	if diff := cmp.Diff([]string{"1 a 1", "<3 a 2"}, copyTimed(t, Options{Times: true}, d.file("a"))); diff != "" {
		t.Errorf("one that was quiet (-want +got):\n%s", diff)
	}
}

func TestTimesOverAHole(t *testing.T) {
	d := newFolder(t)
	d.writeAt(d.file("web"), 1, "x\n"+numbered(0, 1024))
	d.writeAt(d.file("web"), 2, numbered(1024, 1026))
	d.free("web", block)
	want := []string{"2 " + number(1024), "2 " + number(1025)}
	for _, opt := range []Options{{Times: true}, {Since: noon}, {Since: noon.Add(1500 * time.Millisecond)}, {Times: true, Tail: 9}} {
		if diff := cmp.Diff(want, copyTimed(t, opt, d.file("web"))); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", opt, diff)
		}
	}
	if got := copyTimed(t, Options{Until: noon.Add(time.Second)}, d.file("web")); len(got) > 0 {
		t.Errorf("what was printed until then is freed, and there is %q", got)
	}
}

func TestSplitStreams(t *testing.T) {
	d := newFolder(t)
	files := d.split("web")
	d.writeAt(files[0], 1, "1\n2\n")
	d.writeAt(files[1], 2, "3\n")
	d.writeAt(files[0], 3, "4\n")
	d.writeAt(files[1], 4, "5\n6\n")
	all := []string{"1 web stdout: 1", "1 web stdout: 2", "2 web stderr: 3", "3 web stdout: 4", "4 web stderr: 5", "4 web stderr: 6"}
	for _, tail := range []int{0, 1, 2, 3, 4, 5, 6, 7} {
		want := all[max(0, len(all)-tail):]
		if tail == 0 {
			want = all
		}
		if diff := cmp.Diff(want, copyTimed(t, Options{Times: true, Tail: tail}, files...)); diff != "" {
			t.Errorf("tail %d (-want +got):\n%s", tail, diff)
		}
	}
	f := startFollower(t, ways["inotify"], 0, files...)
	f.want("web stdout: 1", "web stdout: 2", "web stdout: 4", "web stderr: 3", "web stderr: 5", "web stderr: 6")
	d.writeAt(files[1], 5, "7\n")
	f.want("web stderr: 7")
}

func TestFindSplit(t *testing.T) {
	d := newFolder(t)
	for _, name := range []string{"web", "web.err", "old", "old.err", "plain"} {
		d.write(name, "")
	}
	d.write("linked", "") // one file for both streams may have two names
	d.must(os.Link(d.file("linked").Path, d.file("linked.err").Path))
	for what, tt := range map[string]struct {
		asked string
		want  []File
	}{
		"as asked for":      {`{"version":1,"containers":{"web":{"split":true},"plain":{"size":1}}}`, d.split("web")},
		"damaged: by names": {`{"vers`, []File{d.file("web"), d.split("web")[1]}},
		"missing: by names": {"", []File{d.file("web"), d.split("web")[1]}},
	} {
		t.Run(what, func(t *testing.T) {
			d.must(os.WriteFile(d.dir+"/"+wanted.FileName, []byte(tt.asked), 0o600))
			rest := []File{d.file("linked"), d.file("old"), d.split("old")[1], d.file("plain")}
			got, err := Find(d.dir, nil)
			if diff := cmp.Diff(append(rest, tt.want...), got); err != nil || diff != "" {
				t.Errorf("all, %v (-want +got):\n%s", err, diff)
			}
			got, err = Find(d.dir, []string{"web", "plain"})
			if diff := cmp.Diff(append(tt.want, d.file("plain")), got); err != nil || diff != "" {
				t.Errorf("named, %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// A followed line is of the time when it was written.
func TestFollowedTimes(t *testing.T) {
	d := newFolder(t)
	d.writeAt(d.file("web"), 1, "old\n")
	seen := make(chan Line)
	go func() {
		_ = copyFiles(t.Context(), []File{d.file("web")}, Options{Follow: true, Times: true}, ways["inotify"], func(l Line) error {
			select {
			case seen <- l:
			case <-t.Context().Done():
			}
			return nil
		})
		close(seen)
	}()
	if got := timedText(<-seen); got != "1 web old" {
		t.Errorf("got %q", got)
	}
	for i := range 4 {
		before := time.Now()
		d.write("web", "new\n")
		l := <-seen
		if i == 0 {
			continue // it may have come before the reader waited
		}
		if l.Latest || l.Time.Before(before) || l.Time.After(time.Now()) {
			t.Errorf("%q is of %v (latest: %v), and was written after %v", l.Text, l.Time, l.Latest, before)
		}
	}
	t.Cleanup(func() {
		for range seen {
		}
	})
}
