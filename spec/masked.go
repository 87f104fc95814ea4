package spec

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A flow is the text of a group file: from which expressions each part of its containers is
// computed.
type flow struct {
	body      *hclsyntax.Body
	locals    map[string]hclsyntax.Expression
	defaults  map[string][]hclsyntax.Expression // and types, which have the defaults of attributes
	variables map[string]bool                   // which are sensitive
	known     map[string]bool                   // locals, and whether they are computed from a sensitive variable
}

// readFlow reads a text that was accepted once. It returns nil for any other.
func readFlow(src []byte) *flow {
	body, damage, _ := readSyntax("", src, &report{})
	if body == nil || damage {
		return nil
	}
	f := &flow{
		body: body, locals: map[string]hclsyntax.Expression{}, defaults: map[string][]hclsyntax.Expression{},
		variables: map[string]bool{}, known: map[string]bool{},
	}
	for _, b := range blocksOf(body, "variable") {
		if name, ok := label(b); ok {
			f.variables[name] = saysSensitive(b)
			for _, word := range []string{"default", "type"} {
				if attr := b.Body.Attributes[word]; attr != nil {
					f.defaults[name] = append(f.defaults[name], attr.Expr)
				}
			}
		}
	}
	for _, b := range blocksOf(body, "locals") {
		for _, attr := range attributes(b.Body) {
			f.locals[attr.Name] = attr.Expr
		}
	}
	return f
}

// saysSensitive reports whether a variable block has another value than false for sensitive.
func saysSensitive(variable *hclsyntax.Block) bool {
	attr := variable.Body.Attributes["sensitive"]
	if attr == nil {
		return false
	}
	literal, ok := unwrap(attr.Expr).(*hclsyntax.LiteralValueExpr)
	return !ok || literal.Val.Type() != cty.Bool || literal.Val.IsNull() || literal.Val.True()
}

// sensitive reports whether an expression is computed from a sensitive variable.
func (f *flow) sensitive(expr hclsyntax.Expression) bool {
	for _, t := range expr.Variables() {
		name := referent(t)
		if t.RootName() == "var" && f.variables[name] {
			return true
		}
		if inner := f.locals[name]; t.RootName() == "local" && inner != nil {
			if _, ok := f.known[name]; !ok {
				f.known[name] = false // while it is looked at
				f.known[name] = f.sensitive(inner)
			}
			if f.known[name] {
				return true
			}
		}
	}
	return false
}

// reach calls visit for an expression, and for each default and local that it is computed from,
// but for those in seen.
func (f *flow) reach(expr hclsyntax.Expression, seen map[string]bool, visit func(expr hclsyntax.Expression)) {
	visit(expr)
	for _, t := range expr.Variables() {
		key := t.RootName() + "." + referent(t)
		if seen[key] {
			continue
		}
		seen[key] = true
		switch name := referent(t); t.RootName() {
		case "var":
			for _, inner := range f.defaults[name] {
				visit(inner)
			}
		case "local":
			if inner := f.locals[name]; inner != nil {
				f.reach(inner, seen, visit)
			}
		}
	}
}

// A writtenPart is a part of a container that can be sensitive, as it is written.
type writtenPart struct {
	owner
	hideablePart
	around []*hclsyntax.Block // the blocks that it is in
}

// parts calls visit for each part of a container that can be sensitive.
func (f *flow) parts(visit func(p writtenPart)) {
	for _, g := range blocksOf(f.body, "group") {
		group := expandedNames(g)
		if g.Body.Attributes["name"] != nil {
			group = anyName
		}
		for _, c := range containersOf(g) {
			for _, p := range hideable(c, expandedNames) {
				visit(writtenPart{owner{group, expandedNames(c)}, p, []*hclsyntax.Block{g, c, p.file}})
			}
		}
	}
}

// eachValues returns the values that "each" can have in the part, but for its key, which is a name.
func (p writtenPart) eachValues() (exprs []hclsyntax.Expression) {
	used := slices.ContainsFunc(p.expr.Variables(), func(t hcl.Traversal) bool { return isEach(t) && referent(t) != "key" })
	for _, b := range p.around {
		if b == nil {
			continue
		}
		if attr := b.Body.Attributes[forEach]; attr != nil && used {
			exprs = append(exprs, attr.Expr)
		}
	}
	return exprs
}

// SensitiveParts returns what is sensitive in the text of a group file: "var.NAME" for a variable,
// "GROUP.CONTAINER.PART" for a part in the form of [Group.Sensitive]. A name that for_each or
// "name" makes ends in *. The text was accepted once.
func SensitiveParts(src []byte) map[string]bool {
	all := map[string]bool{}
	f := readFlow(src)
	if f == nil {
		return all
	}
	for name, sensitive := range f.variables {
		if sensitive {
			all["var."+name] = true
		}
	}
	f.parts(func(p writtenPart) {
		if f.sensitive(p.expr) {
			all[p.group+"."+p.container+"."+p.path] = true
		}
	})
	return all
}

// Masked returns the text of a group file with mask in the place of each expression that the given
// parts are computed from, unless that has references alone. The parts are those of
// [SensitiveParts], of this text and of others, and of the values. A part that may be one of them
// is masked too. ok is false if the text can't be read.
func Masked(src []byte, parts map[string]bool, mask string) (masked []byte, ok bool) {
	f := readFlow(src)
	if f == nil {
		return nil, false
	}
	var ranges []hcl.Range
	seen := map[string]bool{}
	hide := func(expr hclsyntax.Expression) {
		if hasLiteral(expr) {
			ranges = append(ranges, expr.Range())
		}
	}
	for name, all := range f.defaults {
		for _, expr := range all {
			if parts["var."+name] {
				hide(expr)
			}
		}
	}
	found := NewParts(parts)
	f.parts(func(p writtenPart) {
		if found.hasWritten(p) {
			for _, expr := range append(p.eachValues(), p.expr) {
				f.reach(expr, seen, hide)
			}
		}
	})
	slices.SortFunc(ranges, func(a, b hcl.Range) int {
		return cmp.Or(a.Start.Byte-b.Start.Byte, b.End.Byte-a.End.Byte)
	})
	var out bytes.Buffer
	at := 0
	for _, r := range ranges {
		if r.Start.Byte < at {
			continue // inside the one before
		}
		out.Write(src[at:r.Start.Byte])
		out.WriteString(mask)
		at = r.End.Byte
		if at > 0 && src[at-1] == '\n' { // the end of a heredoc
			at--
		}
	}
	out.Write(src[at:])
	return out.Bytes(), true
}

// hasLiteral reports whether a value is written out in an expression.
func hasLiteral(expr hclsyntax.Expression) bool {
	found := false
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if _, ok := n.(*hclsyntax.LiteralValueExpr); ok {
			found = true
		}
		return nil
	})
	return found
}
