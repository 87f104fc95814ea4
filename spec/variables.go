package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

const envPrefix = "SALLYPORT_VAR_"

// VarsFromEnviron returns the variables SALLYPORT_VAR_x of an environment in the form of
// os.Environ, by x.
func VarsFromEnviron(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(name, envPrefix); ok && name != "" {
			vars[name] = value
		}
	}
	return vars
}

// Variables returns the names of the variables that a group file declares, sorted. A caller with
// values for several files can then give each file its own. In a file with syntax errors it finds
// what the parser makes of it. A file that can't be parsed at all declares none.
func Variables(src []byte) []string {
	body := bodyAsFarAs(src)
	if body == nil {
		return nil
	}
	declared := map[string]bool{}
	for _, b := range blocksOf(body, "variable") {
		if name, ok := label(b); ok {
			declared[name] = true
		}
	}
	return slices.Sorted(maps.Keys(declared))
}

// bodyAsFarAs returns what the parser makes of a group file, or nil.
func bodyAsFarAs(src []byte) *hclsyntax.Body {
	if isJSON("", src) {
		if _, what := exceedsJSON("", src); what != "" {
			return nil
		}
		body, _ := jsonBody("", src)
		return body
	}
	if _, what := exceeds("", src); what != "" {
		return nil
	}
	file, _ := hclsyntax.ParseConfig(src, "", hcl.InitialPos)
	body, _ := file.Body.(*hclsyntax.Body)
	return body
}

// A variable is one variable block.
type variable struct {
	meter    *meter
	name     string
	ty       cty.Type
	typed    bool               // the block has a type line
	defaults *typeexpr.Defaults // for optional attributes inside the type
	typeAt   hcl.Range

	sensitive  bool
	hasDefault bool
	fallback   cty.Value // the default. Unknown without one, and if it is wrong
}

// declareVariables fills in names["var"], and reports values for undeclared variables.
func (n names) declareVariables(body *hclsyntax.Body, given map[string]string, from *origins, damaged bool, m *meter, rep *report) {
	vars, seen := map[string]cty.Value{}, map[string]hcl.Range{}
	from.variables = map[string]Variable{}
	for _, b := range blocksOf(body, "variable") {
		name, ok := label(b)
		if !ok || !rep.unique(seen, "variable", name, b.LabelRanges[0]) {
			continue
		}
		if !hclsyntax.ValidIdentifier(name) {
			rep.errorf(b.LabelRanges[0], "Invalid variable name", "%s can't be written after \"var.\". A name is a letter, then letters, digits, - and _.", quote(name))
			continue
		}
		value, isGiven := given[name]
		var sensitive bool
		vars[name], sensitive = decodeVariable(name, b, value, isGiven, m, rep)
		from.variables[name] = newVariable(name, vars[name], isGiven, sensitive)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := seen[name]; !ok && !damaged {
			rep.errorf(startOf(body.SrcRange.Filename), "Value for an unknown variable", "A value was given for the variable %s (with --var %s=... or %s%s), and this file declares no such variable.%s",
				quote(name), name, envPrefix, name, DidYouMean(name, slices.Sorted(maps.Keys(seen))))
		}
	}
	n["var"] = vars
}

func decodeVariable(name string, b *hclsyntax.Block, given string, isGiven bool, m *meter, rep *report) (value cty.Value, sensitive bool) {
	v, ok := readVariable(name, b, m, rep)
	switch {
	case !ok:
		return cty.DynamicVal, v.sensitive
	case isGiven:
		v.ty = v.givenType()
		value, err := v.parse(given)
		switch {
		case err != nil && v.sensitive:
			rep.errorf(v.typeAt, "Wrong value for a variable", "The value given for %q is not of the type %s. It is sensitive, so it is not shown.", name, typeexpr.TypeString(v.ty))
		case err != nil:
			rep.errorf(v.typeAt, "Wrong value for a variable", "The value given for %q is %s, which is not of the type %s: %s.", name, quote(given), typeexpr.TypeString(v.ty), err)
		}
		return value, v.sensitive
	case v.hasDefault:
		return v.fallback, v.sensitive
	}
	rep.errorf(b.DefRange(), "No value for a variable", "The variable %q has no default and was given no value. Give it one with --var %s=VALUE, in a --var-file, or with %s%s=VALUE in the environment.", name, name, envPrefix, name)
	return cty.DynamicVal, v.sensitive
}

// readVariable reads the type and the default of a variable. ok is false if the type is wrong.
func readVariable(name string, b *hclsyntax.Block, m *meter, rep *report) (v variable, ok bool) {
	r := reader{&scope{report: rep, meter: m, names: names{}, origins: &origins{}}, b.Body, b.DefRange()}
	_, _, _ = r.text("description", optional)
	v = variable{meter: m, name: name, ty: cty.DynamicPseudoType, typeAt: b.DefRange(), sensitive: r.flag("sensitive"), fallback: cty.DynamicVal}
	if attr, ok := b.Body.Attributes["type"]; ok {
		var diags hcl.Diagnostics
		v.ty, v.defaults, diags = typeexpr.TypeConstraintWithDefaults(m.inside(attr.Expr))
		rep.diags = append(rep.diags, diags...)
		if diags.HasErrors() {
			return v, false
		}
		v.typed, v.typeAt = true, attr.Expr.Range()
	}
	if attr, ok := b.Body.Attributes["default"]; ok {
		v.hasDefault = true
		if value, ok := r.eval(attr.Expr); ok {
			if converted, err := v.convert(value); err != nil {
				rep.errorf(attr.Expr.Range(), "Wrong default", "The default of %q is not of the type %s: %s.", name, typeexpr.TypeString(v.ty), err)
			} else {
				v.fallback = converted
			}
		}
	}
	return v, true
}

// givenType returns the type of a value that is given. A variable without a type line has that of
// its default.
func (v variable) givenType() cty.Type {
	if v.typed {
		return v.ty
	}
	return impliedType(v.fallback, v.hasDefault)
}

// impliedType returns the type of a variable without a type line. It is the type of a simple
// default, and text without a default.
func impliedType(fallback cty.Value, hasDefault bool) cty.Type {
	switch {
	case !hasDefault:
		return cty.String
	case fallback.Type().IsPrimitiveType():
		return fallback.Type()
	default:
		return cty.DynamicPseudoType
	}
}

// parse reads a value from the command line or the environment. A string is taken as it is.
// Anything else is written as in the file.
func (v variable) parse(given string) (cty.Value, error) {
	if v.ty == cty.String {
		return cty.StringVal(given), nil
	}
	if at, what := exceeds("", []byte(given)); what != "" {
		return cty.DynamicVal, fmt.Errorf("column %d: %s", at.Start.Column, strings.TrimSuffix(what, "."))
	}
	if v.ty.IsPrimitiveType() {
		return v.convert(cty.StringVal(given))
	}
	expr, diags := hclsyntax.ParseExpression([]byte(given), "", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, plainError(diags)
	}
	value, diags := v.meter.tree(expr, walked).Value(nil)
	if diags.HasErrors() {
		return cty.DynamicVal, plainError(diags)
	}
	return v.convert(value)
}

func (v variable) convert(value cty.Value) (cty.Value, error) {
	if !v.meter.conversion(value, v.ty, v.defaults, v.typeAt) {
		return cty.DynamicVal, nil
	}
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	converted, err := convert.Convert(value, v.ty)
	if err != nil {
		return cty.DynamicVal, err
	}
	return converted, nil
}

// conversion counts the conversion of a value to a variable's type. It returns false after a limit
// has been reached. at is the place of the type, because a value that was given is in no file.
func (m *meter) conversion(value cty.Value, ty cty.Type, defaults *typeexpr.Defaults, at hcl.Range) bool {
	before := m.elements
	m.walk(value, 0)
	elements := before - m.elements
	switch {
	case strings.Contains(typeexpr.TypeString(ty), "set("):
		m.pairs(elements, valuesOfElement)
	case !ty.IsPrimitiveType():
		m.pairs(elements, typesOfElement)
	}
	before = m.elements
	m.defaults(defaults)
	m.take(elements*(before-m.elements), 0)
	if m.over != nil {
		m.over.at, m.over.placed = at, true
	}
	return m.over == nil
}

// defaults counts the values that can be added to each element of a value.
func (m *meter) defaults(d *typeexpr.Defaults) {
	if d == nil {
		return
	}
	for _, v := range d.DefaultValues {
		m.walk(v, 0)
	}
	for _, inner := range d.Children {
		m.defaults(inner)
	}
}

// plainError returns the first mistake as an error. It has no place, because the value is in no
// file.
func plainError(diags hcl.Diagnostics) error {
	return errors.New(strings.TrimSuffix(diags[0].Detail, "."))
}
