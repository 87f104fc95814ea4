package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// readSyntax parses the file. A nil body means that nothing in it can be trusted. damage means that
// there were syntax errors. The body then has only the top-level blocks that end before the first
// error, and the declarations that they refer to may be missing.
func readSyntax(name string, src []byte, rep *report) (body *hclsyntax.Body, damage bool) {
	if at, what := exceeds(name, src); what != "" {
		rep.errorf(at, "This file can't be read", "%s", what)
		return nil, true
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	rep.diags = append(rep.diags, distinct(diags)...)
	first := len(src)
	for _, d := range diags {
		if isRepetition(d) {
			continue
		}
		damage = true
		if d.Subject != nil {
			first = min(first, d.Subject.Start.Byte)
		}
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, true
	}
	if damage {
		body = &hclsyntax.Body{Blocks: before(body.Blocks, src[:first]), SrcRange: body.SrcRange, EndRange: body.EndRange}
	}
	return body, damage
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
