package logs

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// block is a multiple of the block sizes of the file systems that tests run on.
const block = 64 << 10

// numbered returns lines of 64 bytes with their newline: 1024 in a block.
func numbered(from, to int) string {
	var text strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&text, "%063d\n", i)
	}
	return text.String()
}

func number(i int) string { return fmt.Sprintf("web %063d", i) }

func copyText(t *testing.T, opt Options, each func(), files ...File) (got []string) {
	t.Helper()
	err := Copy(t.Context(), files, opt, func(l Line) error {
		got = append(got, text(l))
		each()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestHoleAtTheHead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start string // before the numbered lines, so that they don't end with a block
		freed int64
		tail  int
		want  []string // the first and the last line
		lines int
	}{
		{"nothing is freed", "", 0, 0, []string{number(0), number(2047)}, 2048},
		{"in the middle of a line", "x\n", block, 0, []string{number(1024), number(2047)}, 1024},
		{"at the end of a line: the next one may be cut", "", block, 0, []string{number(1025), number(2047)}, 1023},
		{"the last lines", "x\n", block, 3, []string{number(2045), number(2047)}, 3},
		{"more last lines than there are", "x\n", block, 5000, []string{number(1024), number(2047)}, 1024},
		{"as many as there are", "x\n", block, 1024, []string{number(1024), number(2047)}, 1024},
		{"all of it", "", 2 * block, 0, nil, 0},
		{"the last lines of nothing", "", 2 * block, 3, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newFolder(t)
			d.write("web", tt.start+numbered(0, 2048))
			if tt.freed > 0 {
				d.free("web", tt.freed)
			}
			got := copyText(t, Options{Tail: tt.tail}, func() {}, d.file("web"))
			if tt.start != "" && tt.freed == 0 {
				got = got[1:]
			}
			if len(got) != tt.lines {
				t.Fatalf("%d lines, want %d", len(got), tt.lines)
			}
			if len(got) > 0 {
				got = []string{got[0], got[len(got)-1]}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("first and last (-want +got):\n%s", diff)
			}
		})
	}
}

// A line without an end, as of a program that only draws a bar, is not dropped to the end when its
// beginning is freed.
func TestEndlessLine(t *testing.T) {
	d := newFolder(t)
	d.write("web", strings.Repeat("x", 5*block))
	d.free("web", 2*block)
	got := copyText(t, Options{}, func() {}, d.file("web"))
	if diff := cmp.Diff([]string{"web x*65536", "web x*65536"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	// It is overtaken while it is read.
	d.write("bar", strings.Repeat("x", 8*block))
	n := 0
	got = copyText(t, Options{}, func() {
		if n++; n == 1 {
			d.free("bar", 5*block) // three pieces are read
		}
	}, d.file("bar"))
	if diff := cmp.Diff([]string{"bar x*65536", "bar x*65536", "bar x*65536", "bar missed 196608", "bar x*65536", "bar x*65536"}, got); diff != "" {
		t.Errorf("overtaken (-want +got):\n%s", diff)
	}
}

// One reader is overtaken by the freed head while it reads, and one while it waits.
func TestMissed(t *testing.T) {
	d := newFolder(t)
	d.write("web", "x\n"+numbered(0, 4096))
	n := 0
	got := copyText(t, Options{}, func() {
		if n++; n == 2 { // the first block is read
			d.free("web", 3*block)
		}
	}, d.file("web"))
	// The block that was read ends 2 bytes before the end of a line, which the next freed one has.
	want := slices.Concat([]string{"web x"}, lines2(0, 1023), []string{"web missed 131136"}, lines2(3072, 4096))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func lines2(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, number(i))
	}
	return all
}

func TestFollowMisses(t *testing.T) {
	for way, opt := range ways {
		t.Run(way, func(t *testing.T) {
			d := newFolder(t)
			d.write("web", "ready\n")
			f := startFollower(t, opt, 0, d.file("web"))
			f.want("web ready")
			d.write("web", "first\nsecond\n")
			f.want("web first") // both are read, and the second one waits for us to take it
			d.write("web", strings.Repeat("x", block-1)+"\n"+numbered(0, 2))
			d.free("web", block)
			f.want("web second", "web missed 65536", number(0), number(1))
		})
	}
}

// Output is freed while it is read. Lines are whole and in their order, and all bytes are
// counted.
func TestFreedWhileRead(t *testing.T) {
	d := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		d.must(os.RemoveAll(d.file("web").Path))
		var all strings.Builder
		var want []string
		for i, length := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(maxLine-9, maxLine+9)), 1, 12).Draw(rt, "lengths") {
			line := strings.Repeat(string(rune('a'+i)), length)
			all.WriteString(line + "\n")
			for len(line) > maxLine {
				want, line = append(want, line[:maxLine]), line[maxLine:]
			}
			want = append(want, line)
		}
		d.write("web", all.String())
		blocks := all.Len() / 4096
		freeAfter := rapid.SliceOfN(rapid.IntRange(0, blocks), 0, 8).Draw(rt, "freed blocks after each line")
		var bytes int64
		var got []string
		err := Copy(context.Background(), []File{d.file("web")}, Options{}, func(l Line) error {
			if bytes += l.Missed; l.Missed == 0 {
				bytes += int64(len(l.Text))
				got = append(got, l.Text)
			}
			if len(freeAfter) > 0 {
				d.free("web", max(4096, int64(freeAfter[0])*4096)/4096*4096)
				freeAfter = freeAfter[1:]
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		next := 0
		for _, line := range got {
			i := slices.Index(want[next:], line)
			if i < 0 {
				rt.Fatalf("a line of %d bytes %.5q is not one of the rest", len(line), line)
			}
			next += i + 1
		}
		if newlines := int64(all.Len()) - bytes; newlines < 0 || newlines > int64(len(got)) {
			rt.Fatalf("%d of %d bytes are neither read nor missed, with %d lines", newlines, all.Len(), len(got))
		}
	})
}
