package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxValueBytes limits one local. A few dozen locals that each double the one before would fill the
// memory.
const maxValueBytes = 1 << 20

// locals evaluates the file's locals, each once and after the locals that it refers to.
type locals struct {
	scope
	defs map[string]*hclsyntax.Attribute
	done map[string]bool
	path []string // the locals being evaluated, outermost first
}

// declareLocals fills in names["local"]. names["var"] has to be there already.
func (n names) declareLocals(body *hclsyntax.Body, o *origins, damaged bool, m *meter, rep *report) {
	n["local"], o.locals = map[string]cty.Value{}, map[string]origin{}
	l := locals{
		scope: scope{report: rep, meter: m, names: n, origins: o, damaged: damaged},
		defs:  map[string]*hclsyntax.Attribute{},
		done:  map[string]bool{},
	}
	var order []string
	seen := map[string]hcl.Range{}
	for _, b := range blocksOf(body, "locals") {
		for _, attr := range attributes(b.Body) {
			if rep.unique(seen, "local", attr.Name, attr.NameRange) {
				l.defs[attr.Name] = attr
				n["local"][attr.Name] = cty.DynamicVal
				order = append(order, attr.Name)
			}
		}
	}
	for _, name := range order {
		l.resolve(name)
	}
}

func (l *locals) resolve(name string) {
	attr := l.defs[name]
	if l.done[name] || attr == nil {
		return
	}
	if i := slices.Index(l.path, name); i >= 0 {
		l.cycle(l.path[i:])
		return
	}
	l.path = append(l.path, name)
	for _, t := range attr.Expr.Variables() {
		if t.RootName() == "local" {
			l.resolve(referent(t))
		}
	}
	l.path = l.path[:len(l.path)-1]
	if l.done[name] {
		return // found to be part of a cycle
	}
	l.done[name] = true
	l.origins.locals[name] = l.origins.of(attr.Expr)
	value, ok := l.evalAny(attr.Expr)
	if !ok {
		return
	}
	if weight(value) > maxValueBytes {
		l.errorf(attr.Expr.Range(), "Value too large", "The local %q is longer than %d KiB.", name, maxValueBytes>>10)
		return
	}
	l.names["local"][name] = value
}

// cycle reports locals that need each other. It does so once, and leaves them without a value.
func (l *locals) cycle(members []string) {
	for _, m := range members {
		l.done[m] = true
	}
	first := l.defs[members[0]]
	l.errorf(first.NameRange, "Locals that need each other", "local.%s is computed from itself: %s. Break the circle by writing one of the values out.",
		members[0], strings.Join(append(slices.Clone(members), members[0]), " <- "))
}

// weight returns roughly how many bytes a value takes when it is written out.
func weight(v cty.Value) int {
	if v.IsNull() || !v.IsKnown() {
		return 0
	}
	switch t := v.Type(); {
	case t == cty.String:
		return len(v.AsString())
	case t == cty.Number:
		n := v.AsBigFloat()
		exp := n.MantExp(nil)
		return max(exp, -exp)
	case v.CanIterateElements():
		total := 1
		for _, e := range v.Elements() {
			total += weight(e)
		}
		return total
	}
	return 1
}
