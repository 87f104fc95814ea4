package hint_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestLine(t *testing.T) {
	const most = 60
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"short", "no  settings\r\n", "no settings"},
		{"as long as it may be", strings.Repeat("x", most), strings.Repeat("x", most)},
		{"the end of a long one is kept", "level=error msg=" + strings.Repeat("x", most) + " disk is full",
			"level=error msg…" + strings.Repeat("x", 29) + " disk is full"},
		{"a reason at the end", `level=error msg="Starting" ` + strings.Repeat("x", most) + ` err="no disk"`, "level=error msg…" + strings.Repeat("x", 28) + ` err="no disk"`},
		{"a reason before more", `{"level":"fatal","more":"` + strings.Repeat("x", most) + `","error":"no disk","stack":"` + strings.Repeat("main.go ", 40) + `"}`,
			`{"level":"fatal…error":"no disk","stack":"main.go main.…`},
		{"a reason that is cut itself", "web: " + strings.Repeat("a", 20) + " cause: " + strings.Repeat("b", most), "web: aaaaaaaaaa…cause: " + strings.Repeat("b", 32) + "…"},
		{"a reason in what is kept", "err=" + strings.Repeat("x", most), "err=" + strings.Repeat("x", 11) + "…" + strings.Repeat("x", 42)},
		{"other words", strings.Repeat("stderr: ", 12), "stderr: stderr:…r: stderr: stderr: stderr: stderr: stderr:"},
		{"runes are kept whole", strings.Repeat("é", most), "ééééééé…" + strings.Repeat("é", 21)},
		{"no control sequences", "\x1b[2Jx\x07", "\ufffd[2Jx\ufffd"},
		{"not UTF-8", strings.Repeat("\x80", 10*most), ""},
		{"a megabyte", "begin" + strings.Repeat("x", 1<<20) + "end", "beginxxxxxxxxxx…" + strings.Repeat("x", 39) + "end"},
		{"blanks in a megabyte are cut visibly", "a" + strings.Repeat(" ", 1<<20) + "b", "a … b"},
	} {
		got := hint.Line(tt.text, most)
		if tt.want != "" && got != tt.want || len(got) > most || !utf8.ValidString(got) {
			t.Errorf("%s: %q (%d bytes), want %q", tt.name, got, len(got), tt.want)
		}
	}
}
