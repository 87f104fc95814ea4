package spec

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Syntax parses another file of blocks and attributes, such as the daemon's configuration. It has
// the limits of a group file, and its diagnostics. A nil body means that nothing in the file can be
// trusted. After a syntax error the body lacks what can't be trusted.
func Syntax(name string, src []byte) (*hclsyntax.Body, hcl.Diagnostics) {
	rep := &report{}
	body, _, _ := readNative(name, src, rep)
	return body, rep.diags
}

// hclRange is how HCL writes a place in a detail: line,column-column. The columns may be on two
// lines.
var hclRange = regexp.MustCompile(`:([0-9]+),([0-9]+)-(?:[0-9]+,)?[0-9]+`)

// readSyntax parses the file. A nil body means that nothing in it can be trusted. damage means that
// there were syntax errors. If each is in an attribute on a line of its own, the body lacks those
// attributes, and left has them. Otherwise the body has only the top-level blocks that end before
// the first error. Declarations that the body refers to may be missing both ways.
func readSyntax(name string, src []byte, rep *report) (body *hclsyntax.Body, damage bool, left leftOut) {
	if isJSON(name, src) {
		body, damage = readJSON(name, src, rep)
		return body, damage, nil
	}
	return readNative(name, src, rep)
}

// readNative is readSyntax for a file in the native syntax.
func readNative(name string, src []byte, rep *report) (body *hclsyntax.Body, damage bool, left leftOut) {
	if at, what := exceeds(name, src); what != "" {
		rep.errorf(at, "This file can't be read", "%s", what)
		return nil, true, nil
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	for _, d := range diags {
		d.Detail = hclRange.ReplaceAllString(d.Detail, ":$1:$2")
	}
	first := firstDamage(diags, len(src))
	if damage = first.Byte >= 0; damage {
		if body, all, left := readAround(name, src, diags); left != nil {
			rep.diags = append(rep.diags, reworded(src, all)...)
			return body, true, left
		}
	}
	rep.diags = append(rep.diags, reworded(src, distinct(diags))...)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, true, nil
	}
	if damage {
		body = &hclsyntax.Body{Blocks: before(body.Blocks, src[:first.Byte]), SrcRange: body.SrcRange, EndRange: body.EndRange}
	}
	return body, damage, nil
}

// firstDamage returns the place of the first mistake that damages the tree. Its Byte is -1 if there
// is none, and size if none has a place.
func firstDamage(diags hcl.Diagnostics, size int) hcl.Pos {
	first := hcl.Pos{Byte: -1}
	for _, d := range diags {
		at := hcl.Pos{Byte: size}
		if d.Subject != nil {
			at = d.Subject.Start
		}
		if !isRepetition(d) && (first.Byte < 0 || at.Byte < first.Byte) {
			first = at
		}
	}
	return first
}

// mostLeftOut is how many lines with a syntax error are left out of a file. Each costs a parse.
const mostLeftOut = 10

// A leftOut is the lines that were left out of a file, because of their syntax.
type leftOut []int

// attributeLine is a line with an attribute. Without it, its block is still a block.
var attributeLine = regexp.MustCompile(`^[ \t]*[A-Za-z_][-A-Za-z0-9_]*[ \t]*=`)

// readAround parses the file without the lines that have a syntax error. It returns a nil left if a
// line has more than an attribute, or the rest is no whole file. all are the syntax errors.
func readAround(name string, src []byte, diags hcl.Diagnostics) (body *hclsyntax.Body, all hcl.Diagnostics, left leftOut) {
	rest := bytes.Clone(src)
	for range mostLeftOut {
		at := firstDamage(diags, len(rest))
		if at.Byte < 0 {
			file, _ := hclsyntax.ParseConfig(rest, name, hcl.InitialPos)
			body, _ := file.Body.(*hclsyntax.Body)
			return body, append(all, diags...), left
		}
		begin := bytes.LastIndexByte(rest[:min(at.Byte, len(rest))], '\n') + 1
		end := len(rest)
		if n := bytes.IndexByte(rest[begin:], '\n'); n >= 0 {
			end = begin + n
		}
		if !attributeLine.Match(rest[begin:end]) {
			return nil, nil, nil
		}
		for _, d := range diags {
			if d.Subject != nil && d.Subject.Start == at {
				all = append(all, d)
				break
			}
		}
		left = append(left, at.Line)
		for i := begin; i < end; i++ {
			rest[i] = ' '
		}
		_, diags = hclsyntax.ParseConfig(rest, name, hcl.InitialPos)
	}
	return nil, nil, nil
}

// within reports whether a line was left out of the range.
func (left leftOut) within(at hcl.Range) bool {
	return slices.ContainsFunc(left, func(line int) bool { return at.Start.Line <= line && line <= at.End.Line })
}

// headers returns where the blocks begin that a line was left out of. What such a block lacks may
// be in that line.
func (left leftOut) headers(body *hclsyntax.Body) (all []hcl.Pos) {
	if body == nil || left == nil {
		return nil
	}
	for _, b := range body.Blocks {
		if left.within(b.Range()) {
			all = append(append(all, b.TypeRange.Start), left.headers(b.Body)...)
		}
	}
	return all
}

// withoutFollowUps drops what is reported at the head of a block that a line was left out of.
func (left leftOut) withoutFollowUps(body *hclsyntax.Body, diags hcl.Diagnostics) hcl.Diagnostics {
	headers := left.headers(body)
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Subject != nil && slices.Contains(headers, d.Subject.Start) })
}

// isRepetition reports whether the mistake is a second value for an attribute. No other mistake
// that the parser reports leaves the tree whole. Only its text identifies it. A test compares the
// text with the parser's.
func isRepetition(d *hcl.Diagnostic) bool { return d.Summary == "Attribute redefined" }

// distinct drops the parser's follow-up errors: those at the place of the error before, or with its
// text.
func distinct(diags hcl.Diagnostics) hcl.Diagnostics {
	var kept hcl.Diagnostics
	for i, d := range diags {
		if i > 0 && !isRepetition(d) {
			last := diags[i-1]
			if d.Summary == last.Summary || d.Subject != nil && last.Subject != nil && d.Subject.Start == last.Subject.Start {
				continue
			}
		}
		kept = append(kept, d)
	}
	return kept
}

// before returns the blocks that end in the sound part of the file. The parser invents an end for a
// block without one.
func before(blocks hclsyntax.Blocks, sound []byte) hclsyntax.Blocks {
	var whole hclsyntax.Blocks
	for _, b := range blocks {
		end := b.CloseBraceRange
		if end.Start.Byte > b.TypeRange.Start.Byte && end.Start.Byte < len(sound) && sound[end.Start.Byte] == '}' {
			whole = append(whole, b)
		}
	}
	return whole
}

func startOf(name string) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// blocksOf returns the body's blocks of one type, in the file's order.
func blocksOf(body *hclsyntax.Body, kind string) []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, b := range body.Blocks {
		if b.Type == kind {
			found = append(found, b)
		}
	}
	return found
}

// label returns a block's one label. It returns false for a block without one, which the schema
// check reports.
func label(b *hclsyntax.Block) (string, bool) {
	if len(b.Labels) == 0 {
		return "", false
	}
	return b.Labels[0], true
}
