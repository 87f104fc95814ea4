package spec

import (
	"bytes"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns the text of a group file, or of another file of blocks and attributes, in the
// usual style: two spaces for each block, aligned equals signs, a newline at the end. Nothing but
// white space between the words changes. With a syntax error there is no text, only diagnostics.
func Format(name string, src []byte) ([]byte, hcl.Diagnostics) {
	rep := &report{}
	if isJSON(name, src) {
		rep.errorf(startOf(name), "This file is JSON", "The usual style is that of files in HCL. The file stays as it is.")
		return nil, rep.sorted()
	}
	if _, damage, _ := readSyntax(name, src, rep); damage || rep.hasErrors() {
		return nil, rep.sorted()
	}
	text := hclwrite.Format(wholeLines(src))
	if !sameWords(wholeLines(src), text) {
		rep.errorf(startOf(name), "This file can't be formatted", "Formatting would change more than white space, so the file stays as it is. Please report this, with the file.")
		return nil, rep.sorted()
	}
	return text, nil
}

// wholeLines returns a text whose last line has an end.
func wholeLines(src []byte) []byte {
	src = bytes.TrimRight(src, " \t")
	if len(src) == 0 || bytes.HasSuffix(src, []byte("\n")) {
		return src
	}
	end := "\n"
	if bytes.Contains(src, []byte("\r\n")) {
		end = "\r\n"
	}
	return append(bytes.Clone(src), end...)
}

// sameWords reports whether two texts have the same tokens. White space is none.
func sameWords(a, b []byte) bool {
	before, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos) // the parser has reported its mistakes
	after, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	return slices.EqualFunc(before, after, func(x, y hclsyntax.Token) bool {
		return x.Type == y.Type && bytes.Equal(x.Bytes, y.Bytes)
	})
}
