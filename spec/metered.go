package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A metered is an expression that counts its own value. Its methods other than Value are those of
// the expression.
type metered struct {
	hclsyntax.Expression
	meter *meter
	use   use
}

// Value evaluates the expression, unless a limit has been reached.
func (e metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	m := e.meter
	v, diags := cty.DynamicVal, hcl.Diagnostics(nil)
	if m.over == nil {
		v, diags = e.Expression.Value(ctx)
		m.take(len(diags)*perMistake, 0)
		m.use(v, e.use)
	}
	if m.over == nil {
		return v, diags
	}
	m.placed(e.Range())
	return cty.DynamicVal, nil
}

// UnwrapExpression returns the expression for those who look at its shape.
func (e metered) UnwrapExpression() hcl.Expression { return e.Expression }

// tree returns a copy of the expression in which everything that can be evaluated is metered.
func (m *meter) tree(expr hclsyntax.Expression, how use) hclsyntax.Expression {
	return metered{m.inside(expr), m, how}
}

// inside returns a copy of the expression in which those inside it are metered.
func (m *meter) inside(expr hclsyntax.Expression) hclsyntax.Expression {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		c := *e
		c.Expression = m.tree(e.Expression, held)
		return &c
	case *hclsyntax.ScopeTraversalExpr:
		m.steps(e.Traversal)
	case *hclsyntax.RelativeTraversalExpr:
		m.steps(e.Traversal)
		c := *e
		c.Source = m.tree(e.Source, held)
		return &c
	case *hclsyntax.FunctionCallExpr:
		c := *e
		c.Args = m.trees(e.Args, usedBy(e.Name))
		return &c
	case *hclsyntax.ConditionalExpr:
		c := *e
		c.Condition, c.TrueResult, c.FalseResult = m.tree(e.Condition, held), m.tree(e.TrueResult, compared), m.tree(e.FalseResult, compared)
		return &c
	case *hclsyntax.IndexExpr:
		c := *e
		c.Collection, c.Key = m.tree(e.Collection, held), m.tree(e.Key, asNumber)
		return &c
	case *hclsyntax.TupleConsExpr:
		c := *e
		c.Exprs = m.trees(e.Exprs, walked)
		return &c
	case *hclsyntax.ObjectConsExpr:
		c := *e
		c.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
		for i, item := range e.Items {
			c.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: m.tree(item.KeyExpr, walked), ValueExpr: m.tree(item.ValueExpr, walked)}
		}
		return &c
	case *hclsyntax.ObjectConsKeyExpr:
		c := *e
		c.Wrapped = m.inside(e.Wrapped) // whose type decides whether it is a name or a reference
		return &c
	case *hclsyntax.ForExpr:
		c := *e
		c.CollExpr, c.ValExpr = m.tree(e.CollExpr, held), m.tree(e.ValExpr, walked)
		if e.KeyExpr != nil {
			c.KeyExpr = m.tree(e.KeyExpr, walked)
		}
		if e.CondExpr != nil {
			c.CondExpr = m.tree(e.CondExpr, held)
		}
		return &c
	case *hclsyntax.SplatExpr:
		c := *e
		c.Source, c.Each = m.tree(e.Source, held), m.tree(e.Each, walked)
		return &c
	case placedExpr:
		e.Expression = m.inside(e.Expression)
		return e
	case eachExpr:
		e.Expression = m.tree(e.Expression, held)
		return e
	case *hclsyntax.TemplateExpr:
		c := *e
		c.Parts = m.trees(e.Parts, walked)
		return &c
	case *hclsyntax.TemplateJoinExpr:
		c := *e
		c.Tuple = m.tree(e.Tuple, held)
		return &c
	case *hclsyntax.TemplateWrapExpr:
		c := *e
		c.Wrapped = m.tree(e.Wrapped, held)
		return &c
	case *hclsyntax.BinaryOpExpr:
		c := *e
		c.LHS, c.RHS = m.tree(e.LHS, asNumber), m.tree(e.RHS, asNumber)
		return &c
	case *hclsyntax.UnaryOpExpr:
		c := *e
		c.Val = m.tree(e.Val, asNumber)
		return &c
	}
	return expr // a literal, a reference or a syntax error, with nothing inside
}

// steps counts the indexes that are written out, which the evaluator converts to numbers.
func (m *meter) steps(t hcl.Traversal) {
	for _, step := range t {
		if index, ok := step.(hcl.TraverseIndex); ok {
			m.number(index.Key)
		}
	}
}

func (m *meter) trees(exprs []hclsyntax.Expression, how use) []hclsyntax.Expression {
	all := make([]hclsyntax.Expression, len(exprs))
	for i, e := range exprs {
		all[i] = m.tree(e, how)
	}
	return all
}
