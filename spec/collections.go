package spec

import (
	"cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// An item is one element of a list or a map. Its value is unknown if it is wrong, which has been
// reported.
type item struct {
	key   string // empty in a list
	keyAt hcl.Range
	value cty.Value
	at    hcl.Range
}

// texts reads a list of strings. It returns nil without a list, and an empty slice for [].
func (r reader) texts(name string) []string {
	items, ok := r.list(name)
	if !ok {
		return nil
	}
	texts := make([]string, 0, len(items))
	for _, i := range items {
		if v, ok := r.convert(i.value, cty.String, elementOf(name), i.at); ok {
			texts = append(texts, v.AsString())
		}
	}
	if len(texts) == 0 && len(items) > 0 {
		return nil // not empty, but wrong
	}
	return texts
}

func elementOf(list string) string { return "An element of " + quote(list) }

// list reads the elements of a list. Each has its own place if the list is written out.
func (r reader) list(name string) ([]item, bool) {
	attr := r.body.Attributes[name]
	if attr == nil {
		return nil, false
	}
	if written, ok := unwrap(attr.Expr).(*hclsyntax.TupleConsExpr); ok {
		items := make([]item, 0, len(written.Exprs))
		for _, e := range written.Exprs {
			v, _ := r.evalFor(name, e)
			items = append(items, item{value: v, at: e.Range()})
		}
		return items, true
	}
	v, ok := r.evalFor(name, attr.Expr)
	at := attr.Expr.Range()
	if !ok || v.IsNull() {
		return nil, false
	}
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		r.errorf(at, "Wrong type", "%q is a list of texts ([\"...\", \"...\"]), and this is %s.", name, r.describe(attr.Expr, v))
		return nil, false
	}
	items := []item{}
	for _, e := range v.Elements() {
		items = append(items, item{value: e, at: at})
	}
	return items, true
}

// mapExamples has the maps with keys of ours.
var mapExamples = map[string]string{
	"sysctls": `{ "kernel.shmmax" = 68719476736 }`,
	"http":    `{ port = 8080, path = "/healthz" }`, "tcp": "{ port = 8080 }", "grpc": "{ port = 8080 }",
}

// entries reads a map. Each entry has its own place if the map is written out.
func (r reader) entries(name string) ([]item, bool) {
	attr := r.body.Attributes[name]
	if attr == nil {
		return nil, false
	}
	if written, ok := unwrap(attr.Expr).(*hclsyntax.ObjectConsExpr); ok {
		return r.written(name, written), true
	}
	v, ok := r.evalFor(name, attr.Expr)
	at := attr.Expr.Range()
	if !ok || v.IsNull() {
		return nil, false
	}
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		r.errorf(at, "Wrong type", "%q is a map (%s), and this is %s.", name, cmp.Or(mapExamples[name], `{ NAME = "value" }`), r.describe(attr.Expr, v))
		return nil, false
	}
	var items []item
	for k, e := range v.Elements() {
		items = append(items, item{key: k.AsString(), keyAt: at, value: e, at: at})
	}
	return items, true
}

func (r reader) written(name string, object *hclsyntax.ObjectConsExpr) []item {
	var items []item
	seen := map[string]hcl.Range{}
	for _, pair := range object.Items {
		key, ok := r.eval(pair.KeyExpr)
		if ok {
			key, ok = r.convert(key, cty.String, "A key of "+quote(name), pair.KeyExpr.Range())
		}
		value, _ := r.evalFor(name, pair.ValueExpr)
		if !ok || !r.unique(seen, "key", key.AsString(), pair.KeyExpr.Range()) {
			continue
		}
		items = append(items, item{key.AsString(), pair.KeyExpr.Range(), value, pair.ValueExpr.Range()})
	}
	return items
}

// textMap reads a map of strings and calls check for each key. It returns nil without a map.
func (r reader) textMap(name string, check func(key string, at hcl.Range)) map[string]string {
	items, ok := r.entries(name)
	if !ok || len(items) == 0 {
		return nil
	}
	m := make(map[string]string, len(items))
	defer r.hideKeys(name, len(r.diags))
	for _, i := range items {
		check(i.key, i.keyAt)
		if v, ok := r.convert(i.value, cty.String, quote(i.key), i.at); ok {
			m[i.key] = v.AsString()
		}
	}
	return m
}

// hideKeys takes the words out of the mistakes from the given one on, if the keys of a map are
// computed from a sensitive variable.
func (r reader) hideKeys(name string, from int) {
	expr := r.body.Attributes[name].Expr
	if _, written := unwrap(expr).(*hclsyntax.ObjectConsExpr); !written && r.origins.of(expr).sensitive != "" {
		copy(r.diags[from:], withoutValues(r.diags[from:]))
	}
}

func unwrap(expr hclsyntax.Expression) hclsyntax.Expression {
	for {
		p, ok := expr.(*hclsyntax.ParenthesesExpr)
		if !ok {
			return expr
		}
		expr = p.Expression
	}
}
