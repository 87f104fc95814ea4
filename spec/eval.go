package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// names are the values that expressions can refer to: by root ("var"), then by name. A value whose
// mistake is already reported is cty.DynamicVal. Everything computed from it is unknown, and is not
// reported again.
type names map[string]map[string]cty.Value

// with returns a copy of the names with one more root.
func (n names) with(root string, values map[string]cty.Value) names {
	more := maps.Clone(n)
	more[root] = values
	return more
}

// A scope evaluates expressions. It has the names that they can refer to, and the report for their
// mistakes.
type scope struct {
	*report
	meter   *meter
	names   names
	origins *origins
	copies  *copies // nil where no block has for_each
	inGroup bool    // it is of a group's block
	damaged bool    // declarations may be missing after a syntax error, so unknown names are not reported

	// unresolved is set when an expression has no value. The cause has been reported, and the
	// result must not be used.
	unresolved bool
}

// eval returns the expression's value, which is wholly known. It returns false if there is none. A
// value that comes from a sensitive variable is a mistake: it would be shown.
func (s *scope) eval(expr hclsyntax.Expression) (cty.Value, bool) {
	if name := s.origins.of(expr).sensitive; name != "" {
		s.errorf(expr.Range(), "A sensitive value would be shown", "The variable %s is sensitive, and commands show what stands here. Its value may stand in \"env\", \"command\", \"args\" and a file's \"content\" alone.", quote(name))
		s.unresolved = true
		return cty.DynamicVal, false
	}
	return s.evalAny(expr)
}

// evalAny is eval for what may have a sensitive value.
func (s *scope) evalAny(expr hclsyntax.Expression) (cty.Value, bool) {
	known := s.checkCalls(expr)
	variables := map[string]cty.Value{}
	used := names{}
	for _, t := range references(expr) {
		root, name, value, ok := s.resolve(expr, t)
		if !ok {
			known = false
			continue
		}
		if used[root] == nil {
			used[root] = map[string]cty.Value{}
		}
		if name == "" {
			maps.Copy(used[root], s.names[root])
			continue
		}
		used[root][name] = value
	}
	if !known {
		s.unresolved = true
		return cty.DynamicVal, false
	}
	for root, values := range used {
		variables[root] = cty.ObjectVal(values)
	}
	v, diags := s.meter.eval(expr, variables)
	for _, d := range diags { // the evaluator puts a period behind the words of a function
		d.Detail = strings.Replace(d.Detail, "?.", "?", 1)
	}
	if s.origins.of(expr).sensitive != "" {
		diags = withoutValues(diags)
	}
	s.addAll(diags)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		s.unresolved = true
		return cty.DynamicVal, false
	}
	if left := maxElements; hasInfinite(v, &left) {
		switch {
		case divides(expr) && callsAny(expr):
			s.errorf(expr.Range(), "Number too large", "A number in this value is larger than any that can be written out, or it is divided by zero. Write a smaller one, or put it in quotes, and write a divisor that isn't zero.")
		case divides(expr):
			s.errorf(expr.Range(), "Division by zero", "This divides by zero, and has no value. Write a divisor that isn't zero.")
		default:
			s.errorf(expr.Range(), "Number too large", "A number in this value is larger than any that can be written out. Write a smaller one, or put it in quotes.")
		}
		return cty.DynamicVal, false
	}
	return v, true
}

// hasInfinite reports whether a number in a value is infinite. left is how many values are looked
// at, because values that share their parts can have more of them than memory.
func hasInfinite(v cty.Value, left *int) bool {
	if *left--; *left < 0 || v.IsNull() || !v.IsKnown() {
		return false
	}
	switch {
	case v.Type() == cty.Number:
		return v.AsBigFloat().IsInf()
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			if _, element := it.Element(); *left < 0 || hasInfinite(element, left) {
				return *left >= 0
			}
		}
	}
	return false
}

// visitNodes calls visit for an expression and for each one in it. The walk itself passes by the
// expression that an [eachExpr] wraps.
func visitNodes(expr hclsyntax.Expression, visit hclsyntax.VisitFunc) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if e, ok := n.(eachExpr); ok {
			n = e.Expression
		}
		return visit(n)
	})
}

// divides reports whether an expression has a division.
func divides(expr hclsyntax.Expression) (found bool) {
	visitNodes(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if op, ok := n.(*hclsyntax.BinaryOpExpr); ok && (op.Op == hclsyntax.OpDivide || op.Op == hclsyntax.OpModulo) {
			found = true
		}
		return nil
	})
	return found
}

// callsAny reports whether an expression calls a function, which may have read a number from a
// text.
func callsAny(expr hclsyntax.Expression) (found bool) {
	visitNodes(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if _, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			found = true
		}
		return nil
	})
	return found
}

// withoutValues returns the mistakes of an evaluation without the values in their words.
func withoutValues(diags hcl.Diagnostics) (plain hcl.Diagnostics) {
	for _, d := range diags {
		plain = append(plain, &hcl.Diagnostic{
			Severity: d.Severity, Summary: d.Summary, Subject: d.Subject,
			Detail: "This is computed from a sensitive variable, so what is wrong with it is not shown.",
		})
	}
	return plain
}

// resolve returns the value that a reference of the expression names, and reports a reference that
// names nothing. An empty name means all values of the root.
func (s *scope) resolve(expr hclsyntax.Expression, t hcl.Traversal) (root, name string, value cty.Value, ok bool) {
	root, at := t.RootName(), t.SourceRange()
	values, known := s.names[root]
	if !known && root == "secret" && s.inGroup {
		return "", "", cty.NilVal, false // reported by checkSecretReferences
	}
	if !known {
		s.unknownRoot(root, at, literally(expr, t))
		return "", "", cty.NilVal, false
	}
	name = referent(t)
	if name == "" && root == "upstream" && len(t) == 1 {
		return root, "", cty.NilVal, true // all of them, as in upstream["db-${each.key}"]
	}
	if name == "" {
		s.errorf(at, "Incomplete reference", "%q alone has no value. Name one of them: %s.NAME.", root, root)
		return "", "", cty.NilVal, false
	}
	value, known = values[name]
	if !known {
		if !s.damaged {
			s.unknownName(root, name, values, at)
		}
		return "", "", cty.NilVal, false
	}
	return root, name, value, true
}

// referent returns the name after the reference's root, or "".
func referent(t hcl.Traversal) string {
	if len(t) < 2 {
		return ""
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString()
		}
	}
	return ""
}

func (s *scope) unknownRoot(root string, at hcl.Range, literally string) {
	switch known := slices.Sorted(maps.Keys(s.names)); {
	case root == "each":
		s.errorf(at, "Not known here", "\"each\" is known inside a block with %s, and in its blocks, unless they have a %[1]s of their own.", forEach)
	case root == "secret":
		s.errorf(at, "Not known here", "The value of a secret is not known before the container is created, so it can't be in a variable or a local. %s", filePlace)
	case root == "upstream" || root == "group":
		s.errorf(at, "Not known here", "%q is known inside a group only, and not in its upstream blocks.", root)
	case len(known) == 0:
		s.errorf(at, "Not known here", "A variable's block can't refer to anything. Use a local for what is computed.")
	default:
		s.errorf(at, "Unknown reference", "Nothing is called %q.%s References begin with %s.%s", root, DidYouMean(root, known), list(known), literally)
	}
}

// declared is how each root's names are declared.
var declared = map[string]struct{ what, how string }{
	"var":      {"variable", `Declare it at the top of the file: variable "%s" { type = string }`},
	"local":    {"local", "Declare it at the top of the file: locals { %s = ... }"},
	"upstream": {"upstream", `Declare it in the group's ambassador block: upstream "%s" { listen = PORT }`},
	"secret":   {"secret", `Declare it in the group block: secret "%s" { file = "/etc/keys/db" }`},
	"group":    {"attribute of the group", "The one that can be referred to is group.name, not group.%s."},
}

func (s *scope) unknownName(root, name string, values map[string]cty.Value, at hcl.Range) {
	d := declared[root]
	detail := fmt.Sprintf("There is no %s %s.", d.what, quote(name))
	var known []string
	if len(values) <= maxCandidates {
		known = slices.Sorted(maps.Keys(values))
	}
	if suggestion := DidYouMean(name, known); suggestion != "" {
		detail += suggestion
	} else {
		detail += " " + fmt.Sprintf(d.how, name)
	}
	s.errorf(at, "Unknown "+d.what, "%s", detail)
}

// checkCalls reports calls of functions that do not exist.
func (s *scope) checkCalls(expr hclsyntax.Expression) bool {
	ok := true
	visitNodes(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, is := n.(*hclsyntax.FunctionCallExpr)
		if !is {
			return nil
		}
		if _, known := functions[call.Name]; known {
			return nil
		}
		ok = false
		if why, impure := impureFunctions[call.Name]; impure {
			s.errorf(call.NameRange, "Unknown function", "There is no function %q: a group file has the same meaning on every machine and at any time. %s", call.Name, why)
			return nil
		}
		suggestion := DidYouMean(call.Name, functionNames)
		if other, known := otherFunctions[call.Name]; known {
			suggestion = " " + other
		}
		if suggestion == "" {
			suggestion = " There are " + list(functionNames) + "."
		}
		s.errorf(call.NameRange, "Unknown function", "There is no function %q.%s", call.Name, suggestion)
		return nil
	})
	return ok
}
