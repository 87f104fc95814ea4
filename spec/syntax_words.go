package spec

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	literalInterpolation = "To have ${ in the text itself, write $${."
	literalDirective     = "To have %{ in the text itself, write %%{."
)

// whatToDo completes mistakes that the parser leaves without a way out, by their summaries.
var whatToDo = map[string]string{
	"Invalid template control keyword":         literalDirective,
	"Unexpected end of template":               "A %{ if } or %{ for } lacks its end. " + literalDirective,
	"Unclosed template interpolation sequence": literalInterpolation,
	"Invalid escape sequence":                  `For a backslash in the text itself, write two: \\.`,
}

// reworded returns the parser's mistakes in the form of ours.
func reworded(src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if isRepetition(d) {
			rewordRepetition(src, d)
			continue
		}
		todo := whatToDo[d.Summary]
		if d.Summary == "Invalid expression" && inInterpolation(src, d.Subject) {
			todo = literalInterpolation
		}
		if todo != "" && d.Detail != "" {
			todo = " " + todo
		}
		d.Detail += todo
	}
	return diags
}

// firstSet is where the parser has the line of an attribute's first value.
var firstSet = regexp.MustCompile(`:([0-9]+)[:,][-,0-9]+\. Each argument`)

// rewordRepetition writes a second value of an attribute as other things that stand twice.
func rewordRepetition(src []byte, d *hcl.Diagnostic) {
	first := firstSet.FindStringSubmatch(d.Detail)
	if first == nil || d.Subject == nil || !d.Subject.CanSliceBytes(src) {
		return
	}
	name := string(d.Subject.SliceBytes(src))
	d.Summary = "Duplicate " + name
	d.Detail = fmt.Sprintf("There is already a value for %s here, on line %s. Keep one of the two.", quote(name), first[1])
}

// inInterpolation reports whether a place is behind a ${ of its line that no } has closed.
func inInterpolation(src []byte, at *hcl.Range) bool {
	if at == nil || at.Start.Byte > len(src) {
		return false
	}
	line := src[bytes.LastIndexByte(src[:at.Start.Byte], '\n')+1 : at.Start.Byte]
	begin := bytes.LastIndex(line, []byte("${"))
	return begin >= 0 && bytes.IndexByte(line[begin:], '}') < 0
}

// literally returns a hint for a reference in a text that names nothing: the text may be for
// another program, such as a shell. It returns "" for a reference that is not in a text.
func literally(expr hclsyntax.Expression, t hcl.Traversal) (hint string) {
	at := t.SourceRange()
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n.(type) {
		case *hclsyntax.TemplateExpr, *hclsyntax.TemplateWrapExpr:
			if whole := n.Range(); whole.Start.Byte <= at.Start.Byte && at.End.Byte <= whole.End.Byte {
				name := t.RootName()
				if next := referent(t); next != "" {
					name += "." + next
				}
				hint = fmt.Sprintf(" To have ${%s} in the text itself, write $${%s}.", name, name)
			}
		}
		return nil
	})
	return hint
}
