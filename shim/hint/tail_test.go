package hint_test

import (
	"io"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
)

// A tail keeps the end, however it was written, and begins with a whole letter.
func TestTail(t *testing.T) {
	for _, tt := range []struct {
		name           string
		most           int
		writes         []string
		text, lastLine string
	}{
		{"nothing", 8, nil, "", ""},
		{"all", 8, []string{"one\n", "two\n"}, "one\ntwo\n", "two"},
		{"one write of more", 4, []string{"0123456789"}, "6789", "6789"},
		{"several", 4, []string{"01", "23", "456"}, "3456", "3456"},
		{"blank at the end", 16, []string{"one\n \n\n"}, "one\n \n\n", "one"},
		{"within a letter", 5, []string{"a\u5927\u5927"}, "\u5927", "\u5927"},
		{"a letter in two writes", 6, []string{"\xe5\xa4", "\xa7", "!"}, "\u5927!", "\u5927!"},
		{"no letters", 8, []string{"\xa7\xa7"}, "\xa7\xa7", "\xa7\xa7"},
		{"no letters, cut", 6, []string{"\xa7\xa7\xa7\xa7\xa7\xa7\xa7"}, "\xa7\xa7\xa7", "\xa7\xa7\xa7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tail := hint.Tail{Most: tt.most}
			for _, w := range tt.writes {
				if n, err := io.WriteString(&tail, w); n != len(w) || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			}
			if text, line := tail.Text(), tail.LastLine(); text != tt.text || line != tt.lastLine {
				t.Errorf("text %q with last line %q, want %q with %q", text, line, tt.text, tt.lastLine)
			}
		})
	}
}
