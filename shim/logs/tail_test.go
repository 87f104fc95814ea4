package logs

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTailOffset(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tt := range []struct {
		name string
		text string
		n    int
		want string // the text from the offset on
	}{
		{"empty", "", 3, ""},
		{"fewer than asked for", "a\nb\n", 5, "a\nb\n"},
		{"exactly", "a\nb\n", 2, "a\nb\n"},
		{"last", "a\nb\n", 1, "b\n"},
		{"partial counts", "a\nb\nc", 2, "b\nc"},
		{"empty lines count", "a\n\n\n", 2, "\n\n"},
		{"only newlines", "\n\n", 1, "\n"},
		{"negative", "a\nb\n", -1, ""},
		{"more than fit", "a\nb\n", math.MaxInt, "a\nb\n"},
		{"across blocks", "a\n" + long + "\nb\n", 2, long + "\nb\n"},
		{"last piece of a long line", "a\n" + long + long + "z\n", 1, long[1:] + "z\n"},
		{"long line whole", "a\n" + long + "z\n", 2, long + "z\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			off, err := tailOffset(strings.NewReader(tt.text), 0, int64(len(tt.text)), tt.n)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.text[off:]; got != tt.want {
				t.Errorf("last %d: got %d bytes %.20q, want %d bytes %.20q", tt.n, len(got), got, len(tt.want), tt.want)
			}
		})
	}
}

// lines returns the lines that a reader emits of a text. It is the simple, slow way.
func lines(text string) (out []string) {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		for len(line) > maxLine {
			out, line = append(out, line[:maxLine]), line[maxLine:]
		}
		out, text = append(out, line), rest
	}
	return out
}

func TestTailOffsetLeavesTheLastLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(maxLine-3, maxLine+3)), 0, 6).Draw(t, "lengths")
		var text strings.Builder
		for i, n := range lengths {
			text.WriteString(strings.Repeat(string(rune('a'+i)), n) + "\n")
		}
		s := text.String()
		if rapid.Bool().Draw(t, "partial") {
			s = strings.TrimSuffix(s, "\n")
		}
		n := rapid.IntRange(1, 8).Draw(t, "n")
		off, err := tailOffset(strings.NewReader(s), 0, int64(len(s)), n)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(lines(s[off:])), min(n, len(lines(s))); got != want {
			t.Fatalf("%d lines left, want %d", got, want)
		}
	})
}

// A counter counts the bytes that are read.
type counter struct {
	io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.n += len(p)
	return c.ReaderAt.ReadAt(p, off)
}

func TestTailReadsOnlyTheEnd(t *testing.T) {
	for name, text := range map[string][]byte{
		"short lines":  bytes.Repeat([]byte("a line\n"), 1<<20),
		"one huge one": bytes.Repeat([]byte("x"), 8<<20),
	} {
		t.Run(name, func(t *testing.T) {
			c := &counter{ReaderAt: bytes.NewReader(text)}
			if _, err := tailOffset(c, 0, int64(len(text)), 2); err != nil {
				t.Fatal(err)
			}
			if c.n > 3*tailBlock {
				t.Errorf("read %d bytes for the last 2 lines", c.n)
			}
		})
	}
}

func TestTailOfATruncatedFile(t *testing.T) {
	off, err := tailOffset(strings.NewReader("new\n"), 0, 1<<20, 1)
	if off != 0 || err != nil {
		t.Errorf("got %d, %v; want 0", off, err)
	}
}

func BenchmarkTail(b *testing.B) {
	path := filepath.Join(b.TempDir(), "web.log")
	line := strings.Repeat("y", 99) + "\n"
	if err := os.WriteFile(path, bytes.Repeat([]byte(line), 2<<20), 0o600); err != nil { // 200 MiB
		b.Fatal(err)
	}
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				err := Copy(b.Context(), []File{{Container: "web", Path: path}}, Options{Tail: n}, func(Line) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
