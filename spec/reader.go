package spec

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// A need is required or optional.
type need bool

const (
	required need = true
	optional need = false
)

// A reader reads the attributes of one block. Each method returns the place of the value, and false
// without a value: the attribute is not given, null, or wrong. Mistakes have been reported.
type reader struct {
	*scope
	body *hclsyntax.Body
	at   hcl.Range // the place at which a missing attribute is reported
}

// in returns a reader of an inner block.
func (s *scope) in(b *hclsyntax.Block) reader { return reader{s, b.Body, b.DefRange()} }

func (r reader) has(name string) bool { return r.body.Attributes[name] != nil }

func (r reader) value(name string, want cty.Type, n need) (v cty.Value, at hcl.Range, ok bool) {
	attr := r.body.Attributes[name]
	if attr == nil {
		if n == required {
			r.missing(name, r.at)
		}
		return cty.NilVal, r.at, false
	}
	at = attr.Expr.Range()
	v, ok = r.evalFor(name, attr.Expr)
	if !ok {
		return v, at, false
	}
	if v.IsNull() {
		if n == required {
			r.missing(name, at)
		}
		return v, at, false
	}
	v, ok = r.convert(v, want, quote(name), at)
	return v, at, ok
}

// evalFor returns the value of an expression in the attribute of that name.
func (r reader) evalFor(name string, expr hclsyntax.Expression) (cty.Value, bool) {
	if slices.Contains(mayBeSensitive, name) {
		return r.evalAny(expr)
	}
	return r.eval(expr)
}

func (r reader) missing(name string, at hcl.Range) {
	r.errorf(at, "Missing "+name, "%q is required here. Write: %s = %s", name, name, examples[name])
}

// examples are values for the attributes that are required somewhere.
var examples = map[string]string{
	"name":   `"web"`,
	"image":  `"registry.example/name:1.0"`,
	"path":   `"/path/in/the/container"`,
	"listen": "9001",
	"host":   "8443",
	"port":   "443",
	"policy": `"on-failure"`,
	"cron":   `"30 2 * * *"`,
	"key":    `"/etc/sallyport/keys/vendor.pub"`,

	"condition":     `length(var.name) > 0`,
	"error_message": `"what is wrong with the value, and what to write"`,
}

// convert returns the value as one of the wanted type, or reports that it can't be. what begins a
// sentence.
func (s *scope) convert(v cty.Value, want cty.Type, what string, at hcl.Range) (cty.Value, bool) {
	if !v.IsKnown() {
		return v, false
	}
	converted, err := convert.Convert(v, want)
	if err == nil && converted.IsNull() {
		s.errorf(at, "No value", "%s is null here. Give it a value, or leave it out.", what)
		return v, false
	}
	if err != nil {
		s.errorf(at, "Wrong type", "%s is %s, and this is %s.", what, typeNames[want], describe(v))
		return v, false
	}
	if want == cty.String && strings.ContainsRune(converted.AsString(), 0) {
		s.errorf(at, "Invalid text", "%s contains a NUL character, which no program can be given.", what)
		return v, false
	}
	return converted, true
}

var typeNames = map[cty.Type]string{
	cty.String: `text ("...")`,
	cty.Number: "a number",
	cty.Bool:   "true or false",
}

// describe is the function of that name, without a value that comes from a sensitive variable.
func (r reader) describe(expr hclsyntax.Expression, v cty.Value) string {
	if r.origins.of(expr).sensitive != "" {
		return "something else"
	}
	return describe(v)
}

func describe(v cty.Value) string {
	switch t := v.Type(); {
	case t == cty.String:
		return "the text " + quote(v.AsString())
	case t == cty.Number:
		return "the number " + v.AsBigFloat().Text('g', 10)
	case t == cty.Bool && v.True():
		return "true"
	case t == cty.Bool:
		return "false"
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		return "a list"
	default:
		return "a map"
	}
}

func (r reader) text(name string, n need) (string, hcl.Range, bool) {
	v, at, ok := r.value(name, cty.String, n)
	if !ok {
		return "", at, false
	}
	return v.AsString(), at, true
}

func (r reader) flag(name string) bool {
	v, _, ok := r.value(name, cty.Bool, optional)
	return ok && v.True()
}

func (r reader) number(name string, n need) (*big.Float, hcl.Range, bool) {
	v, at, ok := r.value(name, cty.Number, n)
	if !ok {
		return nil, at, false
	}
	return v.AsBigFloat(), at, true
}

// integer reads a whole number between the bounds.
func (r reader) integer(name string, low, high int64, n need) (int64, hcl.Range, bool) {
	f, at, ok := r.number(name, n)
	if !ok {
		return 0, at, false
	}
	return r.whole(f, name, low, high, at)
}

func (s *scope) whole(f *big.Float, name string, low, high int64, at hcl.Range) (int64, hcl.Range, bool) {
	i, accuracy := f.Int64()
	if accuracy != big.Exact || i < low || i > high {
		s.errorf(at, "Invalid "+name, "%s is a whole number from %d to %d, and this is %s.", quote(name), low, high, f.Text('g', 10))
		return 0, at, false
	}
	return i, at, true
}

func (r reader) port(name string) (uint16, hcl.Range, bool) {
	i, at, ok := r.integer(name, 1, 65535, required)
	return uint16(i), at, ok
}

// duration reads a length of time such as "10s", from low to high.
func (r reader) duration(name string, low, high time.Duration) (time.Duration, bool) {
	s, at, ok := r.text(name, optional)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.errorf(at, "Invalid "+name, "%s is not a length of time. Write a number and a unit: \"500ms\", \"10s\", \"1m30s\".", quote(s))
		return 0, false
	}
	if d < low || d > high {
		r.errorf(at, "Invalid "+name, "%s is out of range: %q is from %s to %s.", quote(s), name, low, high)
		return 0, false
	}
	return d, true
}
