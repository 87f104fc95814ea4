package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// validate checks the values of the variables with the conditions of their validation blocks. A
// variable whose value is refused has no value afterwards. names["var"] has to be there already.
func (n names) validate(body *hclsyntax.Body, from *origins, damaged bool, m *meter, rep *report) {
	refused := map[string]bool{}
	seen := map[string]bool{}
	for _, b := range blocksOf(body, "variable") {
		name, ok := label(b)
		if !ok || seen[name] || n["var"][name] == cty.NilVal {
			continue
		}
		seen[name] = true
		for _, v := range blocksOf(b.Body, "validation") {
			s := &scope{report: rep, meter: m, names: names{"var": n["var"]}, origins: from, damaged: damaged}
			if !s.validate(name, b, v) {
				refused[name] = true
			}
		}
	}
	for name := range refused {
		n["var"][name] = cty.DynamicVal
	}
}

// validate checks the value of a variable with one validation block. It returns false after a
// mistake.
func (s *scope) validate(name string, variable, block *hclsyntax.Block) bool {
	r := s.in(block)
	message, _, hasMessage := r.text("error_message", required)
	attr := r.body.Attributes["condition"]
	if attr == nil {
		r.missing("condition", r.at)
		return false
	}
	at := attr.Expr.Range()
	checks := func(t hcl.Traversal) bool { return t.RootName() == "var" && referent(t) == name }
	if !slices.ContainsFunc(attr.Expr.Variables(), checks) {
		s.errorf(at, "Invalid condition", "A condition is computed from the variable that it checks, and this one does not refer to var.%s.", name)
		return false
	}
	value, ok := s.evalAny(attr.Expr)
	if !ok {
		return false
	}
	if s.origins.of(attr.Expr).sensitive != "" && value.Type() != cty.Bool {
		s.errorf(at, "Wrong type", "A condition is true or false, and this is something else.")
		return false
	}
	value, ok = s.convert(value, cty.Bool, `"condition"`, at)
	if !ok || !hasMessage {
		return false
	}
	if value.True() {
		return true
	}
	if fallback := variable.Body.Attributes["default"]; fallback != nil && s.origins.variables[name].Default {
		at = fallback.Expr.Range()
	}
	message = printable(strings.Join(strings.Fields(message), " "))
	s.errorf(at, "Invalid value for a variable", "The value of var.%s is refused by the condition on line %d: %s", name, attr.NameRange.Start.Line, message)
	return false
}
