package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// A screen is the terminal that a stream is shown on. The zero screen is a pipe or a file: its
// lines have no limit, and nothing is coloured.
type screen struct {
	width, height int // in columns and lines
	color         bool
}

// usualWidth and usualHeight are those of a terminal that doesn't know its size.
const usualWidth, usualHeight = 80, 24

// leastWidth is that of the narrowest screen that texts are made for: indents leave room on it. A
// narrower one breaks the lines itself.
const leastWidth = 10

// screenOf returns the screen that a file is. The variable COLUMNS replaces a terminal's own width,
// as in other programs.
func screenOf(f *os.File, environ []string) screen {
	columns, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return screen{}
	}
	s := screen{width: columns, height: lines, color: !noColor(environ)}
	if n, err := strconv.Atoi(envValue(environ, "COLUMNS")); err == nil && n > 0 {
		s.width = n
	}
	if s.width == 0 {
		s.width = usualWidth
	}
	s.width = max(s.width, leastWidth)
	if s.height == 0 {
		s.height = usualHeight
	}
	return s
}

// noColor reports whether the operator or the terminal wants no colours. It follows no-color.org:
// NO_COLOR is present and not empty.
func noColor(environ []string) bool {
	return envValue(environ, "NO_COLOR") != "" || envValue(environ, "TERM") == "dumb"
}

// A style is the parameter of the sequence that begins a colour. The colours can be read on a light
// and on a dark background, and nothing is shown by a colour alone.
type style string

const (
	plain  style = ""
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// sequences matches the sequences of our own colours.
var sequences = regexp.MustCompile("\x1b\\[[0-9;]*m")

// textWidth returns how many columns a terminal needs for a text without newlines and tabs. A
// colour needs none.
func textWidth(text string) (columns int) {
	for _, r := range sequences.ReplaceAllString(text, "") {
		columns += runeWidth(r)
	}
	return columns
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) { // they join the character before
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutMark replaces what is cut off.
const cutMark = "..."

// A cutter shortens a text to so many columns. It leaves a text that fits as it is.
type cutter func(text string, columns int) string

// cutTail keeps the begin of a text.
func cutTail(text string, columns int) string {
	if textWidth(text) <= columns {
		return text
	}
	kept, used := 0, 0
	for i, r := range text {
		if used += runeWidth(r); used > columns-len(cutMark) {
			break
		}
		kept = i + len(string(r))
	}
	return text[:kept] + cutMark[:min(len(cutMark), max(0, columns))]
}

// cutHead keeps the end of a text, such as the name and the tag of an image.
func cutHead(text string, columns int) string {
	for cut := range text {
		if short := cutMark + text[cut:]; cut > 0 && textWidth(short) <= columns && textWidth(text) > columns {
			return short
		}
	}
	return cutTail(text, columns)
}

// cutItems keeps the first items of a list, and the number of the others.
func cutItems(list string, columns int) string {
	if textWidth(list) <= columns {
		return list
	}
	items := strings.Split(list, ",")
	for n := len(items) - 1; n > 0; n-- {
		short := fmt.Sprintf("%s,+%d", strings.Join(items[:n], ","), len(items)-n)
		if textWidth(short) <= columns {
			return short
		}
	}
	return cutTail(list, columns)
}

// wrap breaks a text at its spaces into lines of at most so many columns. The first line has
// less. A longer word stays whole, and so does what is in quotes if it fits in a line: a
// command can be copied then. Without a limit, which 0 means, there is one line.
func wrap(text string, first, columns int) (lines []string) {
	if columns <= 0 {
		return []string{text}
	}
	line, room := "", first
	for _, w := range splitWords(text, columns) {
		trimmed := strings.TrimLeft(w, " ")
		if line != "" && textWidth(line+w) > room {
			lines, line, room = append(lines, line), trimmed, columns
			continue
		}
		line += w
	}
	return append(lines, line)
}

// splitWords splits a text into words with the spaces before them.
func splitWords(text string, columns int) (words []string) {
	begin, quoted := 0, -1
	for i, r := range text {
		switch {
		case r == '"' && quoted >= 0:
			quoted = -1
		case r == '"':
			if n := strings.IndexByte(text[i+1:], '"'); n >= 0 && textWidth(text[i:i+n+2]) <= columns {
				quoted = i
			}
		case r == ' ' && quoted < 0 && i > begin && text[i-1] != ' ':
			words = append(words, text[begin:i])
			begin = i
		}
	}
	return append(words, text[begin:])
}
