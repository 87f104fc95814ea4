package spec

import (
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const snippetWidth = 140 // characters of a source line that are shown

// A sourceFile is one file with what is needed to show places in it.
type sourceFile struct {
	lines []string
	body  *hclsyntax.Body // nil where it can't be read
}

func newSourceFile(name string, src []byte) *sourceFile {
	body, _ := readSyntax(name, src, &report{})
	return &sourceFile{lines: strings.Split(string(src), "\n"), body: body}
}

func (f *sourceFile) line(n int) (string, bool) {
	if n < 1 || n > len(f.lines) {
		return "", false
	}
	return strings.TrimSuffix(f.lines[n-1], "\r"), true
}

// enclosing names the blocks around a place, outermost first: group "checkout", app "web".
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

// cutLine splits a source line at the range, shows nothing of it that a terminal would act on, and shortens what is very long.
func cutLine(line string, at hcl.Range) (before, marked, after string) {
	runes := []rune(line)
	start := min(max(at.Start.Column-1, 0), len(runes))
	end := start
	switch {
	case at.End.Line > at.Start.Line:
		end = len(runes)
	case at.End.Line == at.Start.Line:
		end = min(max(at.End.Column-1, start), len(runes))
	}
	if from := start - snippetWidth/2; len(runes) > snippetWidth && from > 0 {
		runes = append([]rune("…"), runes[from:]...)
		start, end = start-from+1, end-from+1
	}
	if len(runes) > snippetWidth {
		runes = append(runes[:snippetWidth:snippetWidth], '…')
		end = min(end, snippetWidth)
	}
	return printable(string(runes[:start])), printable(string(runes[start:end])), printable(string(runes[end:]))
}

// printable replaces what a terminal would act on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// blank is as wide as the text before the mark; tabs stay tabs.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}
