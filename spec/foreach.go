package spec

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// forEach is the attribute that makes several blocks of one.
const forEach = "for_each"

// maxCopies limits the blocks that for_each makes of one file.
const maxCopies = 1000

// perCopied is the price of an attribute or a block of a copy in elements. It is read again.
const perCopied = 4

// joinedByPath are the blocks whose label is a path. The key is a name in that folder.
var joinedByPath = []string{"file", "tmpfs"}

// copies are the blocks that for_each has made of one file.
type copies struct {
	made int
	over bool                        // there were too many, which has been reported
	keys map[*hclsyntax.Block]string // by block
}

// expanded returns the blocks in the place of one: itself without for_each, else one for each key.
// What is inside is expanded by [scope.expandInside].
func (s *scope) expanded(b *hclsyntax.Block) []*hclsyntax.Block {
	attr := b.Body.Attributes[forEach]
	if attr == nil || !kinds[b.Type].each {
		return []*hclsyntax.Block{b}
	}
	items, ok := s.items(attr)
	if !ok { // one, whose values are unknown, so that what else is wrong with it is reported
		s.unresolved = true
		return []*hclsyntax.Block{s.copyFor(b, "each", cty.DynamicVal)}
	}
	var all []*hclsyntax.Block
	for _, key := range slices.Sorted(maps.Keys(items)) {
		if !s.meter.take(perCopied*sizeOf(b.Body), 0) {
			s.meter.placed(attr.Expr.Range())
			s.unresolved = true
			break
		}
		c := s.copyFor(b, key, cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": items[key]}))
		s.copies.keys[c] = quote(key)
		all = append(all, c)
	}
	return all
}

// items returns the values of for_each by key.
func (s *scope) items(attr *hclsyntax.Attribute) (items map[string]cty.Value, ok bool) {
	at := attr.Expr.Range()
	v, ok := s.eval(attr.Expr)
	if !ok {
		return nil, false
	}
	const write = `Write a map, { "a" = 8080, "b" = 8081 }, or texts, ["a", "b"].`
	t := v.Type()
	switch {
	case v.IsNull():
		s.errorf(at, "No value", "%q is null here. %s An empty one makes no block.", forEach, write)
		return nil, false
	case t.IsMapType() || t.IsObjectType():
		items = v.AsValueMap()
	case t.IsSetType() || t.IsListType() || t.IsTupleType():
		items = map[string]cty.Value{}
		for _, e := range v.AsValueSlice() {
			if e.IsNull() || e.Type() != cty.String {
				s.errorf(at, "Wrong type", "%q is a map, or texts, and one of these is %s. %s", forEach, describeAny(e), write)
				return nil, false
			}
			if _, twice := items[e.AsString()]; twice {
				s.errorf(at, "Duplicate key", "%q has the text %s twice, and each makes a block of its own. Remove one of the two.", forEach, quote(e.AsString()))
				return nil, false
			}
			items[e.AsString()] = e
		}
	default:
		s.errorf(at, "Wrong type", "%q is a map, or texts, and this is %s. %s", forEach, describe(v), write)
		return nil, false
	}
	if s.copies.made += len(items); s.copies.made <= maxCopies {
		return items, true
	}
	if !s.copies.over {
		s.errorf(at, "Too many blocks", "%q makes %d blocks of this file by here, and %d are allowed. Use fewer keys, or several files.", forEach, s.copies.made, maxCopies)
	}
	s.copies.over = true
	return nil, false
}

func describeAny(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return describe(v)
}

// copyFor returns a copy of a block with its name for a key, in which "each" has a value.
func (s *scope) copyFor(b *hclsyntax.Block, key string, each cty.Value) *hclsyntax.Block {
	c := *b
	name, at := "", b.TypeRange
	if len(b.Labels) > 0 {
		name, at = b.Labels[0], b.LabelRanges[0]
	}
	switch {
	case name == "":
		name = key
	case slices.Contains(joinedByPath, b.Type):
		name = strings.TrimSuffix(name, "/") + "/" + key
	default:
		name += "-" + key
	}
	c.Labels, c.LabelRanges = []string{name}, []hcl.Range{at}
	c.Body = withEach(b.Body, each)
	return &c
}

// withEach returns a copy of a body in which "each" has a value. A block inside with a for_each of
// its own has its own "each", but for the value of that attribute.
func withEach(body *hclsyntax.Body, each cty.Value) *hclsyntax.Body {
	c := *body
	c.Attributes = maps.Clone(body.Attributes)
	for name, attr := range c.Attributes {
		c.Attributes[name] = attributeWithEach(attr, each)
	}
	c.Blocks = slices.Clone(body.Blocks)
	for i, b := range c.Blocks {
		inner := *b
		if attr := b.Body.Attributes[forEach]; attr != nil && kinds[b.Type].each {
			own := *b.Body
			own.Attributes = maps.Clone(own.Attributes)
			own.Attributes[forEach] = attributeWithEach(attr, each)
			inner.Body = &own
		} else {
			inner.Body = withEach(b.Body, each)
		}
		c.Blocks[i] = &inner
	}
	return &c
}

func attributeWithEach(attr *hclsyntax.Attribute, each cty.Value) *hclsyntax.Attribute {
	expr := exprWithEach(attr.Expr, each)
	if expr == attr.Expr {
		return attr
	}
	c := *attr
	c.Expr = expr
	return &c
}

// exprWithEach returns an expression in which "each" has a value. It keeps the shape of lists and
// maps that are written out, since their elements have places of their own.
func exprWithEach(expr hclsyntax.Expression, each cty.Value) hclsyntax.Expression {
	if !mentionsEach(expr) {
		return expr
	}
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		c := *e
		c.Expression = exprWithEach(e.Expression, each)
		return &c
	case *hclsyntax.TupleConsExpr:
		c := *e
		c.Exprs = make([]hclsyntax.Expression, len(e.Exprs))
		for i, inner := range e.Exprs {
			c.Exprs[i] = exprWithEach(inner, each)
		}
		return &c
	case *hclsyntax.ObjectConsExpr:
		c := *e
		c.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
		for i, item := range e.Items {
			c.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: exprWithEach(item.KeyExpr, each), ValueExpr: exprWithEach(item.ValueExpr, each)}
		}
		return &c
	}
	return eachExpr{expr, each}
}

func mentionsEach(expr hclsyntax.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), isEach)
}

func isEach(t hcl.Traversal) bool { return t.RootName() == "each" }

// An eachExpr is an expression in which "each" has a value.
type eachExpr struct {
	hclsyntax.Expression
	each cty.Value
}

// Value evaluates the expression with the value of "each".
func (e eachExpr) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var child *hcl.EvalContext
	if ctx == nil {
		child = &hcl.EvalContext{}
	} else {
		child = ctx.NewChild()
	}
	child.Variables = map[string]cty.Value{"each": e.each}
	return e.Expression.Value(child)
}

// Variables returns the other references of the expression.
func (e eachExpr) Variables() []hcl.Traversal {
	return slices.DeleteFunc(e.Expression.Variables(), isEach)
}

// UnwrapExpression returns the expression for those who look at its shape.
func (e eachExpr) UnwrapExpression() hcl.Expression { return e.Expression }

// references returns the references of an expression. Lists and maps that are written out are gone
// through here, because their own method would find those to "each" in their elements.
func references(expr hclsyntax.Expression) (all []hcl.Traversal) {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return references(e.Expression)
	case *hclsyntax.TupleConsExpr:
		for _, inner := range e.Exprs {
			all = append(all, references(inner)...)
		}
		return all
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			all = append(append(all, references(item.KeyExpr)...), references(item.ValueExpr)...)
		}
		return all
	}
	return expr.Variables()
}

// expandInside returns the block with everything inside it expanded. Without a for_each in it, that
// is the block itself.
func (s *scope) expandInside(b *hclsyntax.Block) *hclsyntax.Block {
	if !hasForEach(b.Body) {
		return b
	}
	c, body := *b, *b.Body
	body.Blocks = nil
	for _, inner := range b.Body.Blocks {
		for _, one := range s.expanded(inner) {
			outer := s.key
			s.key = s.keyOf(one)
			whole := s.expandInside(one)
			s.key = outer
			if key, ok := s.copies.keys[one]; ok {
				s.copies.keys[whole] = key
			}
			body.Blocks = append(body.Blocks, whole)
		}
	}
	c.Body = &body
	return &c
}

// hasForEach reports whether for_each stands in a block inside the body.
func hasForEach(body *hclsyntax.Body) bool {
	return slices.ContainsFunc(body.Blocks, func(b *hclsyntax.Block) bool {
		return kinds[b.Type].each && b.Body.Attributes[forEach] != nil || hasForEach(b.Body)
	})
}

// sizeOf returns how many attributes and blocks a copy of the body has.
func sizeOf(body *hclsyntax.Body) int {
	n := 1 + len(body.Attributes)
	for _, b := range body.Blocks {
		n += sizeOf(b.Body)
	}
	return n
}

// keyOf returns the keys of for_each that a block inside the current one is for.
func (s *scope) keyOf(b *hclsyntax.Block) string {
	key := ""
	if s.copies != nil {
		key = s.copies.keys[b]
	}
	switch {
	case key == "":
		return s.key
	case s.key == "":
		return key
	}
	return s.key + ", " + key
}

// keyed yields the blocks. While it does, mistakes are reported with the block's key of for_each.
func (s *scope) keyed(blocks []*hclsyntax.Block) iter.Seq[*hclsyntax.Block] {
	return func(yield func(*hclsyntax.Block) bool) {
		for _, b := range blocks {
			outer := s.key
			s.key = s.keyOf(b)
			more := yield(b)
			if s.key = outer; !more {
				return
			}
		}
	}
}

// forKey returns a detail with the key of for_each that a mistake is for.
func forKey(detail, key string) string {
	if key == "" {
		return detail
	}
	word := "key"
	if strings.Contains(key, `", "`) {
		word = "keys"
	}
	return fmt.Sprintf("%s This is for the %s %s of %s.", detail, word, key, forEach)
}
