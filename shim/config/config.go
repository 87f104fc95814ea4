// Package config reads the daemon's configuration file, sallyport.hcl: bytes to values. It is pure,
// so "sallyport validate" can check a file on any machine. Each setting is also a flag of the
// daemon, which the command line applies over the file.
//
// Pitfall: a value is text in quotes and nothing else. Nothing of the file is evaluated.
package config

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sallyport/sallyport/spec"
)

// FileName is the name of a configuration file. [spec.IsGroupFile] holds for it too, so it is the
// one name in a folder of group files that stands for something else.
const FileName = "sallyport.hcl"

// MaxFile limits the size of the file in bytes.
const MaxFile = 64 << 10

// A File has the values of one configuration file, by the name of the setting's flag.
type File map[string]Value

// A Value is the text of one setting and its place.
type Value struct {
	Text string
	At   hcl.Range
}

// Parse reads a configuration file. name is shown in diagnostics. The result has every value that
// is sound. diags has an error for each of the others, and warnings.
func Parse(name string, src []byte) (File, hcl.Diagnostics) {
	d := &decoder{file: File{}}
	if len(src) > MaxFile {
		start := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
		d.errorf(start, "This file can't be read", "A configuration file is at most %d KiB long. This one has %d KiB.", MaxFile>>10, len(src)>>10)
		return d.file, d.diags
	}
	body, diags := spec.Syntax(name, src)
	d.diags = diags
	if body == nil {
		return d.file, d.diags
	}
	d.body("", body)
	seen := map[string]int{} // line, by type
	var signers []*hclsyntax.Block
	for _, b := range body.Blocks {
		if b.Type == signedBy {
			signers = append(signers, b)
			continue
		}
		if !slices.Contains(blocks(), b.Type) {
			d.unknownBlock(b)
			continue
		}
		switch line := seen[b.Type]; {
		case line > 0:
			d.errorf(b.DefRange(), "Duplicate "+b.Type+" block", "There is already one on line %d. Put everything into one.", line)
			continue
		case len(b.Labels) > 0:
			d.errorf(b.LabelRanges[0], "Unexpected label", "The block %s has no label. Write: %s { ... }", b.Type, b.Type)
		}
		seen[b.Type] = b.TypeRange.Start.Line
		d.body(b.Type, b.Body)
		for _, inner := range b.Body.Blocks {
			d.innerBlock(b.Type, inner)
		}
	}
	d.signedBy(signers)
	slices.SortStableFunc(d.diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte) })
	return d.file, d.diags
}

type decoder struct {
	file  File
	diags hcl.Diagnostics
}

func (d *decoder) errorf(at hcl.Range, summary, detail string, args ...any) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at})
}

// body reads the attributes of a block, or those outside of blocks.
func (d *decoder) body(block string, body *hclsyntax.Body) {
	for name, attr := range body.Attributes {
		s, ok := find(block, name)
		if !ok {
			d.unknown(block, name, attr.NameRange)
			continue
		}
		if s.Flag == signedByFlag {
			d.signedByAttribute(attr.NameRange)
			continue
		}
		literal, ok := attr.Expr.(*hclsyntax.TemplateExpr)
		if !ok || !literal.IsStringLiteral() {
			d.errorf(attr.Expr.Range(), "Wrong type", "%q is text in quotes, without variables, functions or ${...}. Write: %s = %q", name, name, s.example())
			continue
		}
		v, _ := literal.Value(nil) // a literal has no errors
		if problem := s.check(v.AsString()); problem != "" {
			d.errorf(attr.Expr.Range(), "Invalid "+name, "%s", problem)
			continue
		}
		if s.warn != nil {
			if warning := s.warn(v.AsString()); warning != "" {
				at := attr.Expr.Range()
				d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Open to others", Detail: warning, Subject: &at})
			}
		}
		d.file[s.Flag] = Value{v.AsString(), attr.Expr.Range()}
	}
}

func (d *decoder) unknown(block, name string, at hcl.Range) {
	switch in := blocksWith(name); {
	case block == "" && slices.Contains(blocks(), name):
		d.errorf(at, "Not an attribute", "%q is a block. Write: %s { ... }", name, name)
	case len(in) > 0:
		d.errorf(at, "Setting in the wrong place", "%q belongs %s. Move it there.", name, strings.Join(in, " or "))
	default:
		d.errorf(at, "Unknown setting", "There is no setting %q %s.%s %s", shorten(name), place(block), spec.DidYouMean(name, names(block)), allowed(block))
	}
}

func (d *decoder) unknownBlock(b *hclsyntax.Block) {
	switch in := blocksWith(b.Type); {
	case b.Type == "group":
		d.errorf(b.TypeRange, "A group in the daemon's configuration", "Groups are in files of their own, in the folder groups.d. Install them with: sallyport apply FILE.")
	case len(in) > 0:
		d.errorf(b.TypeRange, "Not a block", "%q is an attribute and belongs %s. Write: %s = \"...\"", b.Type, strings.Join(in, " or "), b.Type)
	default:
		d.errorf(b.TypeRange, "Unknown block", "There is no block %q in the daemon's configuration.%s %s",
			shorten(b.Type), spec.DidYouMean(b.Type, names("")), allowed(""))
	}
}

func (d *decoder) innerBlock(block string, b *hclsyntax.Block) {
	if _, ok := find(block, b.Type); ok {
		d.errorf(b.TypeRange, "Not a block", "%q is an attribute. Write: %s = \"...\"", b.Type, b.Type)
		return
	}
	d.errorf(b.TypeRange, "Unknown block", "The block %s has no blocks in it. %s", block, allowed(block))
}

// shorten returns the beginning of a name that may be as long as the file.
func shorten(name string) string {
	const most = 64
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

// place describes where the settings of a block are, for the end of a sentence.
func place(block string) string {
	if block == "" {
		return "outside of blocks"
	}
	return "in the block " + block
}

// allowed returns a sentence with everything that may be in a block, or outside of blocks.
func allowed(block string) string {
	return "Allowed are " + strings.Join(names(block), ", ") + "."
}

// Is reports whether a file is a configuration file rather than a group file: by its blocks, or
// else by its name.
func Is(name string, src []byte) bool {
	if len(src) <= MaxFile {
		if body, _ := spec.Syntax(name, src); body != nil {
			for _, b := range body.Blocks {
				switch {
				case slices.Contains([]string{"group", "variable", "locals"}, b.Type):
					return false
				case b.Type == signedBy, slices.Contains(blocks(), b.Type):
					return true
				}
			}
		}
	}
	return path.Base(name) == FileName
}
