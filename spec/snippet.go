package spec

import (
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	snippetWidth = 140       // how many characters of a source line are shown at most
	leastSnippet = 20        // and at least
	snippetBytes = 256 << 10 // of a file. A longer one has one mistake, which is in its first line
)

// A sourceFile is one file, prepared for showing places in it.
type sourceFile struct {
	lines []string
	body  *hclsyntax.Body // nil if the file can't be parsed
}

func newSourceFile(name string, src []byte) *sourceFile {
	body, _, _ := readSyntax(name, src, &report{})
	src = src[:min(len(src), snippetBytes)]
	return &sourceFile{lines: strings.Split(string(src), "\n"), body: body}
}

func (f *sourceFile) line(n int) (string, bool) {
	if n < 1 || n > len(f.lines) {
		return "", false
	}
	return strings.TrimSuffix(f.lines[n-1], "\r"), true
}

// enclosing returns the names of the blocks around a place, outermost first: group "checkout", app
// "web".
func (f *sourceFile) enclosing(at hcl.Pos) string {
	var names []string
	for body := f.body; body != nil; {
		var inside *hclsyntax.Body
		for _, b := range body.Blocks {
			if !precedes(at, b.OpenBraceRange.Start) && precedes(at, b.CloseBraceRange.End) {
				names = append(names, strings.Join(append([]string{b.Type}, quoteAll(b.Labels)...), " "))
				inside = b.Body
			}
		}
		body = inside
	}
	return strings.Join(names, ", ")
}

func precedes(a, b hcl.Pos) bool {
	return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
}

func quoteAll(labels []string) []string {
	quoted := make([]string, len(labels))
	for i, l := range labels {
		quoted[i] = quote(l)
	}
	return quoted
}

// cutLine splits a source line at the range. It replaces control characters, and shortens very long
// lines to so many characters and a mark on each side.
func cutLine(line string, at hcl.Range, most int) (before, marked, after string) {
	runes := []rune(line)
	start := min(max(at.Start.Column-1, 0), len(runes))
	end := start
	switch {
	case at.End.Line > at.Start.Line:
		end = len(runes)
	case at.End.Line == at.Start.Line:
		end = min(max(at.End.Column-1, start), len(runes))
	}
	if from := start - most/2; len(runes) > most && from > 0 {
		runes = append([]rune("…"), runes[from:]...)
		start, end = start-from+1, end-from+1
	}
	if len(runes) > most {
		runes = append(runes[:most:most], '…')
		end = min(end, most)
	}
	return printable(string(runes[:start])), printable(string(runes[start:end])), printable(string(runes[end:]))
}

// printable replaces the characters that a terminal would act on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// blank returns spaces as wide as the text before the mark. Tabs stay tabs.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}
