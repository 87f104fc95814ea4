package spec

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

const detailWidth = 96 // columns of a wrapped detail, at most

// WriteDiagnostics prints diagnostics for a person: file, line, column, snippet, detail. files maps
// each [Source].Name to its bytes. Lines fit a screen of so many columns, where 0 means any number.
//
// hcl.NewDiagnosticTextWriter is not used. It prints no columns, marks the place by colour alone,
// and reads the file again for each diagnostic.
func WriteDiagnostics(w io.Writer, files map[string][]byte, diags hcl.Diagnostics, width int, color bool) error {
	p := printer{width: width, color: color, files: map[string]*sourceFile{}}
	for name, src := range files {
		p.files[name] = newSourceFile(name, src)
	}
	for _, d := range diags {
		p.write(d)
	}
	if _, err := w.Write(p.out.Bytes()); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}

// OneLine returns the first error of some diagnostics on one line, with its place, and the number
// of the others. It is "" if there is no error. Warnings don't count.
func OneLine(diags hcl.Diagnostics) string {
	text, errs := "", 0
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if errs++; errs > 1 {
			continue
		}
		if d.Subject != nil {
			text = fmt.Sprintf("%s:%d:%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
		}
		text += d.Summary
		if d.Detail != "" {
			text += ": " + strings.ReplaceAll(d.Detail, "\n", " ")
		}
	}
	if errs > 1 {
		text += fmt.Sprintf(" (and %d more)", errs-1)
	}
	return text
}

type printer struct {
	out   bytes.Buffer
	width int
	color bool
	files map[string]*sourceFile
}

func (p *printer) write(d *hcl.Diagnostic) {
	severity, paint := "Error", "\x1b[1;31m"
	if d.Severity == hcl.DiagWarning {
		severity, paint = "Warning", "\x1b[1;33m"
	}
	fmt.Fprintf(&p.out, "%s: %s\n", p.painted(paint, severity), printable(d.Summary))
	if d.Subject != nil {
		p.place(*d.Subject, paint)
	}
	if d.Detail != "" {
		for line := range strings.SplitSeq(d.Detail, "\n") {
			p.out.WriteString(wrap(printable(line), p.most(detailWidth)))
		}
	}
	p.out.WriteByte('\n')
}

// place prints the place, the source line, and a mark below it.
func (p *printer) place(at hcl.Range, paint string) {
	place := fmt.Sprintf("%s:%d:%d", printable(at.Filename), at.Start.Line, at.Start.Column)
	file := p.files[at.Filename]
	if file == nil {
		p.out.WriteString(wrap(place, p.most(math.MaxInt)))
		return
	}
	if in := file.enclosing(at.Start); in != "" {
		place += ", in " + printable(in)
	}
	p.out.WriteString(wrap(place, p.most(math.MaxInt)))
	line, ok := file.line(at.Start.Line)
	if !ok {
		return
	}
	gutter := fmt.Sprintf("%6d | ", at.Start.Line)
	before, marked, after := cutLine(line, at, min(snippetWidth, max(leastSnippet, p.most(math.MaxInt)-len(gutter)-2)))
	fmt.Fprintf(&p.out, "%s%s%s%s\n", gutter, before, p.painted(paint, marked), after)
	fmt.Fprintf(&p.out, "%*s%s%s\n", len(gutter)-1, "| ", blank(before), p.painted(paint, strings.Repeat("^", max(1, len([]rune(marked))))))
}

func (p *printer) painted(paint, s string) string {
	if !p.color || s == "" {
		return s
	}
	return paint + s + "\x1b[0m"
}

// most returns a number of columns, or that of the screen if it is less.
func (p *printer) most(columns int) int {
	if p.width > 0 {
		return min(p.width, columns)
	}
	return columns
}

// wrap breaks a line between words. The following lines are indented like the first.
func wrap(line string, width int) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var out strings.Builder
	column := 0
	if len([]rune(line))+2 <= width {
		return "  " + line + "\n"
	}
	for i, word := range strings.Fields(line) {
		n := len([]rune(word))
		switch {
		case i == 0:
			out.WriteString("  " + indent)
			column = 2 + len(indent)
		case column+1+n > width:
			out.WriteString("\n  " + indent)
			column = 2 + len(indent)
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += n
	}
	return out.String() + "\n"
}
