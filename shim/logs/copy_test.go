package logs

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestCopy(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name  string
		files map[string]string
		read  []string
		tail  int
		want  []string
	}{
		{"no file yet", nil, []string{"web"}, 0, nil},
		{"empty file", map[string]string{"web": ""}, []string{"web"}, 0, nil},
		{"lines", map[string]string{"web": "one\ntwo\n"}, []string{"web"}, 0, []string{"web one", "web two"}},
		{"empty lines", map[string]string{"web": "\n\none\n\n"}, []string{"web"}, 0, []string{"web ", "web ", "web one", "web "}},
		{"partial last line", map[string]string{"web": "one\ntw"}, []string{"web"}, 0, []string{"web one", "web tw"}},
		{"any bytes", map[string]string{"web": "\x00\xff\xfe\r\n\x1b[0m"}, []string{"web"}, 0, []string{"web \x00\xff\xfe\r", "web \x1b[0m"}},
		{"files in their order", map[string]string{"a": "1\n2\n", "b": "3\n"}, []string{"b", "missing", "a"}, 0, []string{"b 3", "a 1", "a 2"}},
		{"longest whole line", map[string]string{"web": long + "\nend\n"}, []string{"web"}, 0, []string{"web x*65536", "web end"}},
		{"a byte too long", map[string]string{"web": long + "x\nend\n"}, []string{"web"}, 0, []string{"web x*65536", "web x", "web end"}},
		{"two pieces and no newline", map[string]string{"web": long + long}, []string{"web"}, 0, []string{"web x*65536", "web x*65536"}},
		{"the last lines of each", map[string]string{"a": "1\n2\n3\n", "b": "4\n"}, []string{"a", "b"}, 2, []string{"a 2", "a 3", "b 4"}},
		{"no line that is there", map[string]string{"a": "1\n"}, []string{"a"}, -1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newFolder(t)
			for name, text := range tt.files {
				d.write(name, text)
			}
			var files []File
			for _, name := range tt.read {
				files = append(files, d.file(name))
			}
			var got []string
			err := Copy(t.Context(), files, Options{Tail: tt.tail}, func(l Line) error {
				got = append(got, l.Container+" "+short(l.Text))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// The pieces of a long line make up the line, and no character is cut.
func TestPiecesOfALine(t *testing.T) {
	for name, line := range map[string]string{
		"two bytes": "x" + strings.Repeat("é", maxLine), "four bytes": "xyz" + strings.Repeat("🚢", maxLine), "no text": strings.Repeat("\x80", 3*maxLine),
		"a character at the end": strings.Repeat("x", maxLine-2) + "é",
	} {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			d.write("web", line+"\nnext\n")
			var lines []string
			text := ""
			err := Copy(t.Context(), []File{d.file("web")}, Options{}, func(l Line) error {
				if utf8.ValidString(line) && !utf8.ValidString(l.Text) {
					t.Errorf("a character is cut in a piece of %d bytes", len(l.Text))
				}
				if text += l.Text; !l.Partial {
					lines, text = append(lines, text), ""
				}
				return nil
			})
			if err != nil || !slices.Equal(lines, []string{line, "next"}) {
				t.Errorf("%d lines, %v", len(lines), err)
			}
		})
	}
}

// Without Follow, a program that prints whenever it is read must not keep a reader busy.
func TestCopyStopsAtTheEndItFound(t *testing.T) {
	d := newFolder(t)
	d.write("web", "one\ntwo\n")
	n := 0
	err := Copy(t.Context(), []File{d.file("web")}, Options{}, func(Line) error {
		n++
		d.write("web", "more\n")
		return nil
	})
	if err != nil || n != 2 {
		t.Errorf("got %d lines, %v; want the 2 that were there", n, err)
	}
}

func TestCopyErrors(t *testing.T) {
	d := newFolder(t)
	d.write("web", "one\ntwo\n")
	d.must(unix.Mkfifo(d.file("pipe").Path, 0o600))
	d.must(os.Mkdir(d.file("dir").Path, 0o700))
	full := errors.New("disk full")
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	for _, tt := range []struct {
		name string
		ctx  context.Context
		file string
		want string
	}{
		{"emit", t.Context(), "web", "disk full"},
		{"ended", ended, "web", "context canceled"},
		{"a pipe", t.Context(), "pipe", `read the output of "pipe": ` + d.file("pipe").Path + " is not a regular file"},
		{"a folder", t.Context(), "dir", `read the output of "dir": ` + d.file("dir").Path + " is not a regular file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Copy(tt.ctx, []File{d.file(tt.file)}, Options{}, func(Line) error { return full })
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	d := newFolder(t)
	d.write("web", "")
	d.write("proxy", "")
	d.must(os.WriteFile(d.dir+"/notes.txt", nil, 0o600))
	d.must(os.Mkdir(d.dir+"/old.log", 0o700))
	for _, tt := range []struct {
		name       string
		dir        string
		containers []string
		want       []File
	}{
		{"all files", d.dir, nil, []File{d.file("proxy"), d.file("web")}},
		{"the named ones, there or not", d.dir, []string{"web", "late"}, []File{d.file("web"), d.file("late")}},
		{"a group that never ran", d.dir + "/none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Find(tt.dir, tt.containers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := Find(d.file("web").Path, nil); err == nil {
		t.Error("a file instead of a folder: no error")
	}
}
