package spec

import (
	"crypto/sha256"
	"errors"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

type functionTable = map[string]function.Function

// errOver ends a call after a limit has been reached. It never reaches the author, because a meter
// drops the mistakes that follow.
var errOver = errors.New("a limit has been reached")

// A price counts what a call costs before it is made, beyond its arguments.
type price func(m *meter, args []cty.Value)

// prices are those of the functions whose result can be larger than their arguments, or whose work
// isn't in proportion to them.
var prices = map[string]price{
	"chunklist":       wholeNumbers,
	"ceil":            wholeNumbers,
	"contains":        priceContains,
	"distinct":        priceDistinct,
	"floor":           wholeNumbers,
	"format":          priceFormat,
	"formatlist":      priceFormat,
	"join":            priceJoin,
	"jsondecode":      priceJSON,
	"jsonencode":      priceQuoted,
	"parseint":        priceParseInt,
	"range":           wholeNumbers,
	"regex":           func(m *meter, args []cty.Value) { m.pattern(args, false) },
	"regexall":        func(m *meter, args []cty.Value) { m.pattern(args, true) },
	"replace":         priceReplace,
	"setintersection": priceSets,
	"setsubtract":     priceSets,
	"setunion":        priceSets,
	"sha256":          func(m *meter, _ []cty.Value) { m.take(0, 2*sha256.Size) },
	"split":           priceSplit,
	"trim":            priceTrim,
	"yamldecode":      priceYAML,
}

// unevaluated are the functions that evaluate their arguments themselves.
var unevaluated = []string{"can", "try"}

// comparing are the functions that bring all elements of their arguments to one type, beside those
// with a parameter that is a collection. "optional" stands in a variable's type.
var comparing = []string{"coalesce", "coalescelist", "concat", "optional", "tolist", "tomap"}

// usedBy returns how a function uses its arguments. The conversion of a tuple to a collection
// compares the type of each element with that of each other one.
func usedBy(name string) use {
	switch {
	case name == "toset":
		return unique
	case slices.Contains(comparing, name):
		return compared
	}
	if f, ok := functions[name]; ok {
		params := f.Params()
		if v := f.VarParam(); v != nil {
			params = append(params, *v)
		}
		switch {
		case slices.ContainsFunc(params, func(p function.Parameter) bool { return p.Type.IsSetType() }):
			return unique
		case slices.ContainsFunc(params, func(p function.Parameter) bool { return p.Type.IsCollectionType() }):
			return compared
		}
	}
	return walked
}

// priced returns the functions with a count of each call.
func (m *meter) priced(functions functionTable) functionTable {
	all := make(functionTable, len(functions))
	for name, f := range functions {
		if slices.Contains(unevaluated, name) {
			all[name] = f
			continue
		}
		all[name] = m.price(name, f)
	}
	return all
}

// price returns a function with a count of each call.
func (m *meter) price(name string, f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			m.goOn()
			m.pairs(len(args), typesOfElement)
			if p := prices[name]; p != nil && !slices.ContainsFunc(args, unusable) {
				p(m, args)
			}
			if m.over != nil {
				return cty.NilType, errOver
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// unusable reports whether a function is not called with the argument.
func unusable(v cty.Value) bool { return v.IsNull() || !v.IsWhollyKnown() }

func wholeNumbers(m *meter, args []cty.Value) {
	for _, v := range args {
		if v.Type() == cty.Number {
			m.walk(v, 0)
		}
	}
}

// priceFormat counts the widths in the format, and each argument once for each verb.
func priceFormat(m *meter, args []cty.Value) {
	format := args[0].AsString()
	verbs, widths, number := strings.Count(format, "%"), 0, 0
	for i := range len(format) {
		if c := format[i]; c >= '0' && c <= '9' {
			number = min(number*10+int(c-'0'), 1000)
		} else {
			widths, number = widths+number, 0
		}
	}
	lists, before := 1, m.bytes
	for _, v := range args[1:] {
		if v.CanIterateElements() {
			lists = max(lists, v.LengthInt())
			for it := v.ElementIterator(); it.Next(); {
				_, element := it.Element()
				m.number(element)
			}
		}
		m.number(v)
		m.walk(v, 0)
	}
	m.repeat(verbs, before-m.bytes)
	m.repeat(lists, widths+len(format))
	// An argument that is no list stands in each of the results.
	for _, v := range args[1:] {
		if !v.CanIterateElements() {
			before := m.bytes
			m.walk(v, 0)
			m.repeat(lists, (before-m.bytes)*max(1, verbs))
		}
	}
}

// repeat counts n times the bytes.
func (m *meter) repeat(n, bytes int) {
	n, bytes = min(n, maxTextBytes+1), min(bytes, maxTextBytes+1) // the product fits into 64 bits
	m.take(0, n*bytes)
}

func priceJoin(m *meter, args []cty.Value) {
	n := 0
	for _, list := range args[1:] {
		n += list.LengthInt()
	}
	m.repeat(n, len(args[0].AsString()))
}

// priceJSON counts the values in the text, and refuses brackets in brackets before the decoder
// recurses.
func priceJSON(m *meter, args []cty.Value) {
	text := args[0].AsString()
	depth, elements := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			depth++
			elements++
		case ']', '}':
			depth = max(0, depth-1)
		case ',':
			elements++
		}
		if depth > maxValueDepth && m.over == nil {
			m.end("Value nested too deep", tooDeep)
		}
	}
	m.take(elements, 0)
}

// priceQuoted counts the six bytes that JSON has for a byte that it escapes.
func priceQuoted(m *meter, args []cty.Value) {
	before := m.bytes
	m.walk(args[0], 0)
	m.repeat(5, before-m.bytes)
}

// priceParseInt counts the digits, which are letters too.
func priceParseInt(m *meter, args []cty.Value) {
	if args[0].Type() == cty.String {
		m.take(0, squared(len(args[0].AsString())))
	}
}

func priceReplace(m *meter, args []cty.Value) {
	text, old, replacement := args[0].AsString(), args[1].AsString(), args[2].AsString()
	m.repeat(strings.Count(text, old), len(replacement))
}

func priceSplit(m *meter, args []cty.Value) {
	m.take(strings.Count(args[1].AsString(), args[0].AsString())+1, 0)
}

// priceTrim counts the search for each character in the set of those that are cut off.
func priceTrim(m *meter, args []cty.Value) {
	cut := len(args[1].AsString())
	if cut > utf8.RuneSelf {
		m.repeat(len(args[0].AsString()), cut/typesOfElement)
	}
}

// priceContains counts the comparisons.
func priceContains(m *meter, args []cty.Value) { m.walk(args[0], 0) }

// priceDistinct counts the comparison of each element with each before it.
func priceDistinct(m *meter, args []cty.Value) {
	before := m.elements
	m.walk(args[0], 0)
	m.pairs(before-m.elements, valuesOfElement)
}

// perSetElement is the price of the sets that are made of an element.
const perSetElement = 8

// priceSets counts the comparison of the elements of all sets with each other.
func priceSets(m *meter, args []cty.Value) {
	before := m.elements
	for _, v := range args {
		m.walk(v, 0)
	}
	n := before - m.elements
	m.take(n*perSetElement, 0)
	m.pairs(n, valuesOfElement)
}

// pattern counts the size of a regular expression, and its steps through the text. all counts one
// match at each character, with its groups.
func (m *meter) pattern(args []cty.Value, all bool) {
	re, err := syntax.Parse(args[0].AsString(), syntax.Perl)
	if err != nil {
		return // the function reports it
	}
	size, text := programSize(re), len(args[1].AsString())
	m.take(size, 0)
	m.repeat(size, text)
	if all {
		m.take((text+1)*min(re.MaxCap()+1, maxElements), 0)
	}
}

// programSize returns roughly how many instructions a regular expression has. The regexp package
// writes repetitions out.
func programSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size += programSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(1, re.Min, re.Max)
	}
	return min(size, maxElements)
}

var (
	tooManyElements = "This file computes more than " + strconv.Itoa(maxElements) + " elements. The limit was reached here. Make the lists shorter, or nest fewer of them in each other."
	tooManyBytes    = "This file computes more than " + strconv.Itoa(maxTextBytes>>20) + " MiB of text and digits. The limit was reached here. Make the texts shorter, or place a file: file \"/path\" { source = ... }."
	tooDeep         = "A value is nested more than " + strconv.Itoa(maxValueDepth) + " deep here. Flatten it."
)
