package hint_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestOf(t *testing.T) {
	inner := &hint.Error{Err: io.EOF, Hint: "read less"}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"no error", nil, ""},
		{"no hint", io.EOF, ""},
		{"a hint", inner, "read less"},
		{"wrapped", fmt.Errorf("apply: %w", inner), "read less"},
		{"the outermost counts", &hint.Error{Err: inner, Hint: "read nothing"}, "read nothing"},
		{"an empty one hides the others", &hint.Error{Err: inner}, ""},
		{"one of several errors", hint.Join([]error{io.ErrClosedPipe, inner}), "read less"},
	} {
		if got := hint.Of(tt.err); got != tt.want {
			t.Errorf("%s: hint %q, want %q", tt.name, got, tt.want)
		}
	}
	if !errors.Is(inner, io.EOF) || inner.Error() != "EOF" {
		t.Errorf("the error in it is %q", inner)
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"plain":                    "plain",
		" no image\r\n\tat  all\n": "no image at all",
	} {
		if got := hint.OneLine(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		most             int
	}{
		{"nothing", "", "", 10},
		{"short", "no disk", "no disk", 10},
		{"as long as it may be", "0123456789", "0123456789", 10},
		{"too long", "0123456789x", "0123456…", 10},
		{"a rune is kept whole", "01234éééééé", "01234é…", 10},
		{"white space does not count", " a\r\n\tb " + strings.Repeat(" ", 20), "a b", 10},
		{"what is cut off before that is told", strings.Repeat(" ", 200) + "b", "…", 10},
		{"no control sequences", "\x1b[2Jx\x07", "\ufffd[2Jx\ufffd", 20},
		{"not UTF-8", "a\xffb", "a\ufffdb", 20},
		{"a megabyte", strings.Repeat("x", 1<<20), strings.Repeat("x", 157) + "…", hint.Short},
	} {
		got := hint.Excerpt(tt.text, tt.most)
		if got != tt.want || len(got) > tt.most {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestBound(t *testing.T) {
	for _, err := range []error{nil, io.EOF, errors.New(strings.Repeat("x", 480))} {
		if got := hint.Bound(err); got != err {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	long := fmt.Errorf("unpack: %w: %s", &hint.Error{Err: io.EOF, Hint: "read less"}, strings.Repeat("\x1b", 40<<10))
	got := hint.Bound(long)
	if len(got.Error()) > 480 || !strings.HasPrefix(got.Error(), "unpack: EOF: ") || strings.Contains(got.Error(), "\x1b") {
		t.Errorf("it becomes %q", got)
	}
	if !errors.Is(got, io.EOF) || hint.Of(got) != "read less" {
		t.Errorf("it is no io.EOF with a hint any more: %v", got)
	}
}

func TestJoin(t *testing.T) {
	if err := hint.Join(nil); err != nil {
		t.Errorf("no errors are joined to %v", err)
	}
	if err := hint.Join([]error{io.EOF}); err != io.EOF {
		t.Errorf("one error becomes %v", err)
	}
	err := hint.Join([]error{io.EOF, io.ErrClosedPipe, fs.ErrNotExist})
	if want := "EOF; io: read/write on closed pipe; file does not exist"; hint.Text(err) != want {
		t.Errorf("joined to %q, want %q", hint.Text(err), want)
	}
	for _, part := range []error{io.EOF, io.ErrClosedPipe, fs.ErrNotExist} {
		if !errors.Is(err, part) {
			t.Errorf("%q is not found in the joined error", part)
		}
	}
	if hint.Text(nil) != "" {
		t.Error("a nil error has a text")
	}
}
