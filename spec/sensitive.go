package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// A Variable is a variable that a group refers to, with the value that it was read with.
type Variable struct {
	Name string `json:"name"`
	// Value is the value. It is nil for a sensitive variable, and for a value of more than
	// maxShownValue bytes, which has a Size and a Sum.
	Value json.RawMessage `json:"value,omitempty"`
	Size  int             `json:"size,omitempty"` // of the value as JSON, in bytes
	Sum   string          `json:"sum,omitempty"`  // sha256 of the value as JSON
	// Default means that no value was given, so that the variable has the one in the file.
	Default   bool `json:"default,omitempty"`
	Sensitive bool `json:"sensitive,omitempty"`
}

// WithoutValue returns the variable for those who may not see what is in a group file.
func (v Variable) WithoutValue() Variable {
	return Variable{Name: v.Name, Default: v.Default, Sensitive: v.Sensitive}
}

// maxShownValue limits the value of a variable that is kept with each generation.
const maxShownValue = 256

// mayBeSensitive are the attributes that can have the value of a sensitive variable. No command
// shows them. All other attributes are shown by status, plan or an error.
var mayBeSensitive = []string{"env", "command", "args", "content"}

// maxVariables limits the variables that are kept with a group. A file can refer to each of its
// variables through each of its locals.
const maxVariables = 64

// origins are the variables of a file, and those that each local is computed from. They are found
// in the text alone, so no function and no condition can hide where a value comes from.
type origins struct {
	variables map[string]Variable
	locals    map[string]origin
}

// An origin has the variables that a value is computed from.
type origin struct {
	variables []string // the first maxVariables of them, sorted
	sensitive string   // a sensitive one, or ""
}

// of returns the variables that the expressions are computed from.
func (o *origins) of(exprs ...hclsyntax.Expression) (all origin) {
	names, seen := map[string]bool{}, map[string]bool{}
	for _, e := range exprs {
		for _, t := range references(e) {
			name := referent(t)
			switch t.RootName() {
			case "var":
				names[name] = true
				if o.variables[name].Sensitive {
					all.sensitive = name
				}
			case "local":
				if seen[name] {
					continue
				}
				seen[name] = true
				from := o.locals[name]
				for _, v := range from.variables {
					names[v] = true
				}
				all.sensitive = cmp.Or(from.sensitive, all.sensitive)
			}
		}
	}
	all.variables = slices.Sorted(maps.Keys(names))
	all.variables = slices.Clip(all.variables[:min(len(all.variables), maxVariables)])
	return all
}

// variablesOf returns the variables that a block refers to, sorted.
func (o *origins) variablesOf(block *hclsyntax.Block) (all []Variable) {
	var exprs []hclsyntax.Expression
	var visit func(body *hclsyntax.Body)
	visit = func(body *hclsyntax.Body) {
		for _, attr := range body.Attributes {
			exprs = append(exprs, attr.Expr)
		}
		for _, b := range body.Blocks {
			visit(b.Body)
		}
	}
	visit(block.Body)
	for _, name := range o.of(exprs...).variables {
		if v, ok := o.variables[name]; ok {
			all = append(all, v)
		}
	}
	return all
}

// sensitiveOf returns the attributes of a group's containers that are computed from a sensitive
// variable, sorted, in the form of [Group.Sensitive].
func (o *origins) sensitiveOf(group *hclsyntax.Block) (all []string) {
	for _, c := range containersOf(group) {
		name, _ := label(c)
		for _, p := range hideable(c, filePath) {
			if o.of(p.expr).sensitive != "" {
				all = append(all, name+"."+p.path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A hideablePart is a part of a container that can have the value of a sensitive variable.
type hideablePart struct {
	path  string // after the container's name: "env.TOKEN", "args", "file./etc/token"
	whole string // the attribute that it is an element of: "env"; else the path
	expr  hclsyntax.Expression
	file  *hclsyntax.Block // that it is the content of; or nil
}

// hideable returns the parts of a container that can have the value of a sensitive variable. Each
// element of a map that is written out is a part of its own. pathOf returns the path of a file
// block, or "".
func hideable(container *hclsyntax.Block, pathOf func(file *hclsyntax.Block) string) (parts []hideablePart) {
	for _, name := range mayBeSensitive {
		attr := container.Body.Attributes[name]
		if attr == nil {
			continue
		}
		written, ok := unwrap(attr.Expr).(*hclsyntax.ObjectConsExpr)
		if !ok {
			parts = append(parts, hideablePart{name, name, attr.Expr, nil})
			continue
		}
		for _, item := range written.Items {
			if key, ok := literalKey(item.KeyExpr); ok {
				parts = append(parts, hideablePart{name + "." + key, name, item.ValueExpr, nil})
			} else {
				parts = append(parts, hideablePart{name, name, item.ValueExpr, nil})
			}
		}
	}
	for _, b := range blocksOf(container.Body, "file") {
		if attr, name := b.Body.Attributes["content"], pathOf(b); attr != nil && name != "" {
			parts = append(parts, hideablePart{"file." + name, "file." + name, attr.Expr, b})
		}
	}
	return parts
}

// literalKey returns the key of a map's element, if it is written out. It evaluates nothing that a
// meter would have to count.
func literalKey(expr hclsyntax.Expression) (string, bool) {
	key, ok := expr.(*hclsyntax.ObjectConsKeyExpr)
	if !ok {
		return "", false
	}
	if word := hcl.ExprAsKeyword(key.Wrapped); word != "" && !key.ForceNonLiteral {
		return word, true
	}
	text, ok := key.Wrapped.(*hclsyntax.TemplateExpr)
	if !ok || !text.IsStringLiteral() {
		return "", false
	}
	v, diags := text.Value(nil)
	return v.AsString(), !diags.HasErrors()
}

// filePath returns the path of a file block as [File.Path] has it, or "".
func filePath(b *hclsyntax.Block) string {
	if name, ok := label(b); ok {
		return path.Clean(name)
	}
	return ""
}

// newVariable returns the variable with its value as far as it is kept and shown.
func newVariable(name string, value cty.Value, given, sensitive bool) Variable {
	v := Variable{Name: name, Default: !given, Sensitive: sensitive}
	if sensitive || !value.IsWhollyKnown() || weight(value) > maxValueBytes {
		return v
	}
	text, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		return v
	}
	if len(text) > maxShownValue {
		sum := sha256.Sum256(text)
		v.Size, v.Sum = len(text), hex.EncodeToString(sum[:])
		return v
	}
	v.Value = text
	return v
}
