package spec

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// FileVars are the values of files with variables, by the name of the variable. Values may be
// secrets, so no diagnostic of them has a value or a line of such a file.
type FileVars map[string]fileVar

// A fileVar is a value, and where it is written.
type fileVar struct {
	value cty.Value
	at    hcl.Range // of the whole line
}

// ParseVarFile reads a file with values for variables. It has lines NAME = VALUE, or is a JSON
// object if its name ends in .json. A value refers to nothing and calls no function. stop is that
// of a [Source].
func ParseVarFile(name string, src []byte, stop func() error) (FileVars, hcl.Diagnostics) {
	rep, m := &report{}, newMeter(stop)
	attrs := varFileAttributes(name, src, rep)
	vars := FileVars{}
	for _, attr := range attrs {
		expr := attr.Expr
		if native, ok := expr.(hclsyntax.Expression); ok {
			expr = m.tree(native, walked)
		}
		value, diags := expr.Value(nil)
		for _, d := range diags {
			if strings.Contains(d.Detail, `"`) { // it quotes a key of the value
				d.Detail = ""
			}
		}
		if rep.diags = append(rep.diags, diags...); diags.HasErrors() || m.over != nil {
			continue
		}
		switch {
		case value.IsNull():
			rep.errorf(attr.Range, "No value", "null is no value for %s. Leave the line out, and the variable has its default.", quote(attr.Name))
		case hasLongNumber(value):
			rep.errorf(attr.Range, "Number too long", "A number in the value of %s has more digits than anything in a group file can use.", quote(attr.Name))
		default:
			vars[attr.Name] = fileVar{value, attr.Range}
		}
	}
	if m.report(rep); rep.hasErrors() {
		return nil, rep.sorted()
	}
	return vars, nil
}

// varFileAttributes parses the file. It returns nothing of a file with a syntax error.
func varFileAttributes(name string, src []byte, rep *report) []*hcl.Attribute {
	at, what := exceeds(name, src)
	if len(src) > MaxGroupFile {
		what = fmt.Sprintf("A file with variables is at most %d KiB long.", MaxGroupFile>>10)
	}
	if what != "" {
		rep.errorf(at, "This file can't be read", "%s", what)
		return nil
	}
	parse := hclsyntax.ParseConfig
	isJSON := strings.HasSuffix(name, ".json")
	if isJSON {
		parse = func(src []byte, name string, _ hcl.Pos) (*hcl.File, hcl.Diagnostics) { return hcljson.Parse(src, name) }
	}
	file, diags := parse(src, name, hcl.InitialPos)
	var attrs hcl.Attributes
	if !diags.HasErrors() {
		attrs, diags = file.Body.JustAttributes()
	}
	diags = reworded(src, distinct(diags))
	noJSON := isJSON && attrs == nil
	if noJSON {
		diags = diags[:1] // the others follow from it
	}
	for _, d := range diags {
		detail := hclRange.ReplaceAllString(d.Detail, ":$1:$2")
		if noJSON { // the parser's own words quote the file
			detail = `A file with variables in JSON is one object: { "name": "value" }.`
		}
		rep.add(d.Severity, *cmp.Or(d.Subject, &hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}), d.Summary, detail)
	}
	if rep.hasErrors() {
		return nil
	}
	return slices.SortedFunc(maps.Values(attrs), func(a, b *hcl.Attribute) int { return cmp.Compare(a.Range.Start.Byte, b.Range.Start.Byte) })
}

// hasLongNumber reports whether a number in the value has too many digits to be written out.
func hasLongNumber(value cty.Value) (long bool) {
	_ = cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.IsKnown() && !v.IsNull() && v.Type() == cty.Number {
			exponent := v.AsBigFloat().MantExp(new(big.Float))
			long = long || exponent > 4096 || exponent < -4096
		}
		return !long, nil
	})
	return long
}

// File returns the name of the file that has the value of a variable.
func (f FileVars) File(name string) string { return f[name].at.Filename }

// Names returns the names of the variables that have a value, sorted.
func (f FileVars) Names() []string { return slices.Sorted(maps.Keys(f)) }

// Unknown reports each value for a variable that is not in known, where it is written.
func (f FileVars) Unknown(known []string) hcl.Diagnostics {
	rep := &report{}
	for _, name := range f.Names() {
		if slices.Contains(known, name) {
			continue
		}
		declared := ", and none declares another one."
		if len(known) > 0 {
			declared = "." + cmp.Or(DidYouMean(name, known), " Declared here: "+strings.Join(known, ", ")+".")
		}
		rep.errorf(f[name].at, "Value for an unknown variable", "No group file here declares the variable %s%s", quote(name), declared)
	}
	return rep.diags
}

// Texts returns the values for the variables that a group file declares, in the form of
// [Source.Vars]. It reports values of the wrong type, where they are written. What is wrong with
// the group file itself is left to [Parse].
func (f FileVars) Texts(src []byte, stop func() error) (map[string]string, hcl.Diagnostics) {
	rep, theirs, m := &report{}, &report{}, newMeter(stop)
	body, _, _ := readSyntax("", src, theirs)
	if body == nil {
		return nil, nil
	}
	texts := map[string]string{}
	for _, b := range blocksOf(body, "variable") {
		name, _ := label(b)
		given, ok := f[name]
		if _, twice := texts[name]; !ok || twice {
			continue
		}
		v, ok := readVariable(name, b, m, theirs)
		if !ok {
			continue
		}
		text, err := v.text(given.value)
		if err != nil {
			rep.errorf(given.at, "Wrong value for a variable", "The value for %s is not of the type %s: %s.", quote(name), typeexpr.TypeString(v.givenType()), err)
		}
		texts[name] = text
	}
	return texts, rep.sorted()
}

// text returns a value as it would be given to the variable on the command line.
func (v variable) text(value cty.Value) (string, error) {
	v.ty = v.givenType()
	converted, err := v.convert(value)
	if err != nil {
		return "", err
	}
	if v.ty.IsPrimitiveType() && v.meter.over == nil {
		text, err := convert.Convert(converted, cty.String)
		if err != nil {
			return "", err
		}
		return text.AsString(), nil
	}
	return string(hclwrite.TokensForValue(value).Bytes()), nil
}
