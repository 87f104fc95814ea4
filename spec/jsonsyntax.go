package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// isJSON reports whether a group file is in the JSON syntax of HCL: by its name, else by the brace
// that it begins with. No other group file begins so.
func isJSON(name string, src []byte) bool {
	return strings.HasSuffix(name, ".json") || bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{"))
}

// readJSON is readSyntax for a file in JSON. The body is nil after a mistake in the syntax, or in
// what is an object.
func readJSON(name string, src []byte, rep *report) (body *hclsyntax.Body, damage bool) {
	if at, what := exceedsJSON(name, src); what != "" {
		rep.errorf(at, "This file can't be read", "%s", what)
		return nil, true
	}
	body, diags := jsonBody(name, src)
	for _, d := range placedInJSON(name, src, diags) {
		rep.add(d.Severity, *d.Subject, d.Summary, d.Detail)
	}
	if diags.HasErrors() {
		return nil, true
	}
	return body, false
}

// jsonBody returns what a file in JSON means as a body of the native syntax. The places are those
// in the file, but for places inside a text with escapes: see placedInJSON. After a mistake the
// body lacks some of it.
func jsonBody(name string, src []byte) (*hclsyntax.Body, hcl.Diagnostics) {
	root, diags := hcljson.ParseExpression(src, name)
	if diags.HasErrors() {
		first := diags[0] // the others follow from it
		if first.Subject == nil {
			at := startOf(name)
			first.Subject = &at
		}
		return &hclsyntax.Body{}, hcl.Diagnostics{first}
	}
	c := jsonConverter{&report{}}
	if _, ok := membersOf(root); !ok {
		c.errorf(root.StartRange(), "Not an object", `A group file in JSON is one object: { "group": { "NAME": { ... } } }.`)
		return &hclsyntax.Body{}, c.diags
	}
	return c.body(fileKind, root), c.diags
}

// schemaKey is the key at the top of a file by which editors find a JSON Schema for it.
const schemaKey = "$schema"

// A jsonConverter makes blocks and attributes of the objects in a file.
type jsonConverter struct{ *report }

// A member is a key of an object with its value.
type member struct {
	name  string
	at    hcl.Range
	value hcl.Expression
}

// membersOf returns the members of an object. ok is false for anything else.
func membersOf(e hcl.Expression) (members []member, ok bool) {
	pairs, diags := hcl.ExprMap(e)
	if diags.HasErrors() {
		return nil, false
	}
	for _, p := range pairs {
		key, _ := p.Key.Value(nil) // the text as it is
		members = append(members, member{key.AsString(), p.Key.Range(), p.Value})
	}
	return members, true
}

// body returns what an object means in the place of a block's body.
func (c jsonConverter) body(parent string, object hcl.Expression) *hclsyntax.Body {
	k := kinds[parent]
	whole := object.Range()
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: whole, EndRange: lastByte(whole)}
	members, _ := membersOf(object)
	for _, m := range members {
		switch first := body.Attributes[m.name]; {
		case m.name == "//": // a comment
		case m.name == schemaKey:
			c.schema(parent, m)
		case slices.Contains(k.blocks, m.name):
			body.Blocks = append(body.Blocks, c.blocks(m)...)
		case first != nil:
			c.errorf(m.at, "Duplicate "+m.name, "There is already a value for %s here, on line %d. Keep one of the two.", quote(m.name), first.NameRange.Start.Line)
		case k.anyAttr && !hclsyntax.ValidIdentifier(m.name):
			c.errorf(m.at, "Invalid name", "%s can't be referred to. A name is a letter, then letters, digits, - and _.", quote(m.name))
		default:
			body.Attributes[m.name] = &hclsyntax.Attribute{
				Name: m.name, Expr: c.attribute(parent, m), NameRange: m.at, EqualsRange: m.at, SrcRange: hcl.RangeBetween(m.at, m.value.Range()),
			}
		}
	}
	return body
}

// schema checks where a file names its JSON Schema. That is for editors, and means nothing here.
func (c jsonConverter) schema(parent string, m member) {
	v, diags := m.value.Value(nil)
	switch {
	case parent != fileKind:
		c.errorf(m.at, "Misplaced "+schemaKey, "Editors look for %q at the top of the file alone. Move it there, or remove it.", schemaKey)
	case diags.HasErrors() || v.IsNull() || v.Type() != cty.String:
		c.errorf(m.value.Range(), "Wrong type", "%q is a text, the path or the address of a JSON Schema. Write: %q: \"./group.schema.json\"", schemaKey, schemaKey)
	}
}

// blocks returns the blocks of one type: { "LABEL": { ... } } with a label, { ... } without. A list
// in the place of an object has several.
func (c jsonConverter) blocks(m member) (all []*hclsyntax.Block) {
	if kinds[m.name].label == "" {
		return c.contents(m.name, nil, m)
	}
	for _, object := range elementsOf(m.value) {
		labels, ok := membersOf(object)
		if !ok {
			c.errorf(object.StartRange(), "Not an object", "%s has a label, %s. Write: %q: { \"...\": { ... } }", upperFirst(kinds[m.name].title), kinds[m.name].label, m.name)
		}
		for _, l := range labels {
			if l.name != "//" {
				all = append(all, c.contents(m.name, []string{l.name}, l)...)
			}
		}
	}
	return all
}

// contents returns the blocks of one label.
func (c jsonConverter) contents(kind string, labels []string, m member) (all []*hclsyntax.Block) {
	elements := elementsOf(m.value)
	for _, object := range elements {
		if _, ok := membersOf(object); !ok {
			c.errorf(object.StartRange(), "Not an object", "What is in %s is an object here. Write: %q: { ... }", kinds[kind].title, m.name)
			continue
		}
		at := m.at
		if labels == nil && len(elements) > 1 {
			at = object.StartRange()
		}
		b := &hclsyntax.Block{Type: kind, Labels: labels, Body: c.body(kind, object), TypeRange: at, OpenBraceRange: object.StartRange(), CloseBraceRange: lastByte(object.Range())}
		if labels != nil {
			b.LabelRanges = []hcl.Range{m.at}
		}
		all = append(all, b)
	}
	return all
}

// elementsOf returns the elements of a list, and any other value as it is. null is nothing.
func elementsOf(e hcl.Expression) []hcl.Expression {
	if all, diags := hcl.ExprList(e); !diags.HasErrors() {
		return all
	}
	if _, object := membersOf(e); !object {
		if v, diags := e.Value(nil); !diags.HasErrors() && v.IsNull() {
			return nil
		}
	}
	return []hcl.Expression{e}
}

func lastByte(r hcl.Range) hcl.Range {
	start := r.End
	start.Byte, start.Column = max(r.Start.Byte, start.Byte-1), max(1, start.Column-1)
	return hcl.Range{Filename: r.Filename, Start: start, End: r.End}
}

// attribute returns the value of an attribute. The type of a variable is a word of the language,
// and in JSON a text.
func (c jsonConverter) attribute(parent string, m member) hclsyntax.Expression {
	if parent == "variable" && m.name == "type" {
		if v, diags := m.value.Value(nil); !diags.HasErrors() && v.Type() == cty.String && !v.IsNull() {
			return c.text(v.AsString(), m.value.Range(), hclsyntax.ParseExpression)
		}
	}
	return c.value(m.value)
}

// value returns a value of JSON as an expression. Its texts are templates.
func (c jsonConverter) value(e hcl.Expression) hclsyntax.Expression {
	if list, diags := hcl.ExprList(e); !diags.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: e.Range(), OpenRange: e.StartRange()}
		for _, inner := range list {
			tuple.Exprs = append(tuple.Exprs, c.value(inner))
		}
		return tuple
	}
	if members, ok := membersOf(e); ok {
		object := &hclsyntax.ObjectConsExpr{SrcRange: e.Range(), OpenRange: e.StartRange()}
		for _, m := range members {
			key := &hclsyntax.ObjectConsKeyExpr{Wrapped: c.text(m.name, m.at, hclsyntax.ParseTemplate), ForceNonLiteral: true}
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{KeyExpr: key, ValueExpr: c.value(m.value)})
		}
		return object
	}
	v, _ := e.Value(nil) // a literal has no errors
	if v.Type() == cty.String && !v.IsNull() {
		return c.text(v.AsString(), e.Range(), hclsyntax.ParseTemplate)
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: e.Range()}
}

// text parses a text of JSON. The expression as a whole has the place of the text.
func (c jsonConverter) text(s string, at hcl.Range, parse func([]byte, string, hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics)) hclsyntax.Expression {
	unknown := &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	inside := at.Start
	inside.Byte, inside.Column = inside.Byte+1, inside.Column+1
	tokens, _ := hclsyntax.LexTemplate([]byte(s), at.Filename, inside) // the parser reports its mistakes
	if _, what := exceedsNesting(tokens); what != "" {
		c.errorf(at, "This file can't be read", "%s", what)
		return unknown
	}
	expr, diags := parse([]byte(s), at.Filename, inside)
	if diags.HasErrors() {
		c.diags = append(c.diags, reworded([]byte(s), distinct(diags))...)
		return unknown
	}
	switch e := expr.(type) {
	case *hclsyntax.TemplateExpr:
		e.SrcRange = at
		return e
	case *hclsyntax.TemplateWrapExpr:
		e.SrcRange = at
		return e
	}
	return placedExpr{expr, at}
}

// A placedExpr is an expression with another place.
type placedExpr struct {
	hclsyntax.Expression
	at hcl.Range
}

// Range returns the place.
func (e placedExpr) Range() hcl.Range { return e.at }

// StartRange returns the place.
func (e placedExpr) StartRange() hcl.Range { return e.at }

// UnwrapExpression returns the expression for those who look at its shape.
func (e placedExpr) UnwrapExpression() hcl.Expression { return e.Expression }

// A jsonText is a text in a file of JSON, with its quotes.
type jsonText struct {
	start hcl.Pos
	raw   []byte
}

// placedInJSON corrects the places inside texts with escapes. The parser of templates has not seen
// those, and counts the characters that they stand for.
func placedInJSON(name string, src []byte, diags hcl.Diagnostics) hcl.Diagnostics {
	if len(diags) == 0 || !isJSON(name, src) || !bytes.ContainsRune(src, '\\') {
		return diags
	}
	texts := escapedTexts(src)
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Filename != name {
			continue
		}
		i, found := slices.BinarySearchFunc(texts, d.Subject.Start.Byte, func(t jsonText, at int) int { return t.start.Byte - at })
		if found || i == 0 {
			continue
		}
		if t := texts[i-1]; d.Subject.Start.Byte < t.start.Byte+len(t.raw) {
			at := *d.Subject
			at.Start, at.End = t.place(at.Start.Byte), t.place(at.End.Byte)
			d.Subject = &at
		}
	}
	return diags
}

// escapedTexts returns the texts of a file that have an escape, in their order.
func escapedTexts(src []byte) (all []jsonText) {
	at := hcl.Pos{Line: 1, Column: 1}
	for i := 0; i < len(src); {
		end := i + 1
		if src[i] == '"' {
			for end < len(src) && src[end] != '"' {
				if src[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(src))
			if bytes.ContainsRune(src[i:end], '\\') {
				at.Byte = i
				all = append(all, jsonText{at, src[i:end]})
			}
		}
		if src[i] == '\n' {
			at.Line, at.Column = at.Line+1, 1
		} else {
			at.Column += utf8.RuneCount(src[i:end])
		}
		i = end
	}
	return all
}

// place returns where the character is that a parser has at a byte of the file.
func (t jsonText) place(at int) hcl.Pos {
	left, i := at-t.start.Byte-1, 1 // left are bytes of the text without escapes
	for left > 0 && i < len(t.raw)-1 {
		n := 1
		if t.raw[i] == '\\' {
			n = 2
			if i+1 < len(t.raw) && t.raw[i+1] == 'u' {
				n = 6
				if bytes.HasPrefix(t.raw[min(i+6, len(t.raw)):], []byte(`\u`)) && surrogate(t.raw[i:]) {
					n = 12
				}
			}
		}
		n = min(n, len(t.raw)-1-i)
		size := 1
		if n > 1 {
			var s string
			_ = json.Unmarshal(fmt.Appendf(nil, `"%s"`, t.raw[i:i+n]), &s) // "" counts nothing
			size = len(s)
		}
		left, i = left-size, i+n
	}
	pos := t.start
	pos.Byte, pos.Column = pos.Byte+i, pos.Column+utf8.RuneCount(t.raw[:i])
	return pos
}

// surrogate reports whether an escape is the first half of a pair.
func surrogate(raw []byte) bool {
	return len(raw) > 3 && (raw[2] == 'd' || raw[2] == 'D') && strings.ContainsRune("89abAB", rune(raw[3]))
}

// exceedsJSON is exceeds for a file in JSON.
func exceedsJSON(name string, src []byte) (at hcl.Range, what string) {
	if len(src) > MaxGroupFile {
		return exceeds(name, src)
	}
	depth, pos := 0, hcl.InitialPos
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			for i++; i < len(src) && src[i] != '"'; i++ {
				if src[i] == '\\' {
					i++
				}
			}
		case c == '\n':
			pos.Line, pos.Column = pos.Line+1, 1
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c >= '0' && c <= '9':
			end := i
			for end < len(src) && strings.IndexByte("0123456789.eE+-", src[end]) >= 0 {
				end++
			}
			if exorbitant.Match(src[i:end]) {
				what = "This number has more digits than anything in a group file can use."
			} else {
				i = end - 1
			}
		}
		if depth > maxNesting {
			what = fmt.Sprintf("Brackets are nested more than %d deep here.", maxNesting)
		}
		if what != "" {
			line := bytes.LastIndexByte(src[:min(i, len(src))], '\n') + 1
			pos.Byte, pos.Column = i, 1+utf8.RuneCount(src[line:i])
			return hcl.Range{Filename: name, Start: pos, End: pos}, what
		}
	}
	return hcl.Range{}, ""
}
