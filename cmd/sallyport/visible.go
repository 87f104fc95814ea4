package main

import (
	"fmt"
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A visibleWriter shows what a terminal would act on, instead of passing it on. A program in a
// container, an image or a file name could else clear the operator's screen or forge a line on it.
//
// A control character becomes its escape, such as \u001b, and a byte that is not UTF-8 becomes
// \x9b. Newline, tab and all other text stay. The first form is that of JSON as well: a string in
// JSON keeps its value, and encoding/json escapes neither U+007F to U+009F nor U+202E by itself.
//
// A character may come in two writes, so the start of one is held back until its end or flush.
// A visibleWriter serves one goroutine at a time. A [page] takes its screen from it.
type visibleWriter struct {
	w    io.Writer
	held []byte
	screen
}

// Write prints p. An error is that of the writer below.
func (v *visibleWriter) Write(p []byte) (int, error) {
	rest, out := append(v.held, p...), make([]byte, 0, len(v.held)+len(p))
	for len(rest) > 0 && utf8.FullRune(rest) && string(rest) != "\r" {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, rest[0])
		case r == '\r' && rest[1] == '\n': // the end of a line, as in the headers of HTTP
			out = append(out, '\r')
		case acts(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, rest[:size]...)
		}
		rest = rest[size:]
	}
	v.held = append([]byte(nil), rest...)
	if _, err := v.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush prints what is held back. The program is about to end, so an error has no reader.
func (v *visibleWriter) flush() {
	for _, b := range v.held {
		if b == '\r' {
			fmt.Fprint(v.w, `\u000d`)
			continue
		}
		fmt.Fprintf(v.w, `\x%02x`, b)
	}
	v.held = nil
}

// acts reports whether a terminal acts on a character or lets it change the order of others: C0 and
// C1 controls, the controls of bidirectional text, and the separators of lines and paragraphs.
func acts(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// content returns the writer for what a container or a file holds: f itself, so that a pipe or a
// file gets each byte, or shown where f is a terminal.
func content(f *os.File, shown io.Writer) io.Writer {
	if term.IsTerminal(int(f.Fd())) {
		return shown
	}
	return f
}
