package hint

import (
	"regexp"
	"unicode/utf8"
)

// Line returns a line that a program has printed, on one line, without control characters and with
// at most that many bytes. See [Shorten].
func Line(text string, most int) string {
	return Shorten(printable(OneLine(Shorten(text, 4*most))), most)
}

// reason begins the part of a line that says what failed, in the formats of common loggers:
// err="...", "error":"...".
var reason = regexp.MustCompile(`(?i)\b(err|error|cause|reason)"?[=:]`)

// Shorten returns a line that a program has printed, with at most that many bytes. A longer line
// keeps its first quarter and its end, since loggers put the reason of a failure there. If a reason
// begins in between, the line keeps that instead of its end.
func Shorten(line string, most int) string {
	if len(line) <= most {
		return line
	}
	const mark = "…"
	head := runeStart(line, most/4, -1)
	room := most - head - len(mark)
	from := runeStart(line, len(line)-room, 1)
	if at := reason.FindStringIndex(line[head:]); at != nil {
		from = min(from, head+at[0])
	}
	rest := line[from:]
	if len(rest) > room {
		rest = rest[:runeStart(rest, room-len(mark), -1)] + mark
	}
	return line[:head] + mark + rest
}

// runeStart returns the index at which a character begins, from i on in a direction.
func runeStart(text string, i, step int) int {
	for i > 0 && i < len(text) && !utf8.RuneStart(text[i]) {
		i += step
	}
	return i
}
