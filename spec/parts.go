package spec

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// anyName is the end of a name whose rest is not known from the text.
const anyName = "*"

// An owner is a container, by names that can end in [anyName].
type owner struct{ group, container string }

// Parts finds the sensitive parts that a part may be.
type Parts struct {
	parts    map[string]map[owner]bool // by PART
	elements map[string]map[owner]bool // by the attribute that PART is an element of
	open     map[string]map[owner]bool // those of parts that end in anyName
}

// NewParts returns the parts, which have the form of [SensitiveParts].
func NewParts(parts map[string]bool) *Parts {
	all := &Parts{parts: map[string]map[owner]bool{}, elements: map[string]map[owner]bool{}, open: map[string]map[owner]bool{}}
	add := func(to map[string]map[owner]bool, part string, o owner) {
		if to[part] == nil {
			to[part] = map[owner]bool{}
		}
		to[part][o] = true
	}
	for name, sensitive := range parts {
		words := strings.SplitN(name, ".", 3)
		if !sensitive || len(words) < 3 {
			continue // a variable
		}
		o, part := owner{words[0], words[1]}, words[2]
		add(all.parts, part, o)
		if whole, _, is := strings.Cut(part, "."); is {
			add(all.elements, whole, o)
		}
		if strings.HasSuffix(part, anyName) {
			add(all.open, part, o)
		}
	}
	return all
}

// Has reports whether a part of a container may be one of the parts. It has the form of
// [Group.Sensitive] without the container's name.
func (p *Parts) Has(group, container, part string) bool {
	whole, _, _ := strings.Cut(part, ".")
	return p.hasWritten(writtenPart{owner: owner{group, container}, hideablePart: hideablePart{path: part, whole: whole}})
}

func (p *Parts) hasWritten(w writtenPart) bool {
	if mayBe(p.parts[w.path], w.owner) || mayBe(p.parts[w.whole], w.owner) || w.path == w.whole && mayBe(p.elements[w.whole], w.owner) {
		return true
	}
	others := p.open
	if strings.HasSuffix(w.path, anyName) {
		others = p.parts
	}
	for part, owners := range others {
		if sameName(part, w.path) && mayBe(owners, w.owner) {
			return true
		}
	}
	return false
}

// mayBe reports whether a container may be one of the others.
func mayBe(others map[owner]bool, o owner) bool {
	if others[o] {
		return true
	}
	for other := range others {
		if sameName(other.group, o.group) && sameName(other.container, o.container) {
			return true
		}
	}
	return false
}

// sameName reports whether two names can be the same.
func sameName(a, b string) bool {
	restA, openA := strings.CutSuffix(a, anyName)
	restB, openB := strings.CutSuffix(b, anyName)
	switch {
	case openA && openB:
		return strings.HasPrefix(restA, restB) || strings.HasPrefix(restB, restA)
	case openA:
		return strings.HasPrefix(b, restA)
	case openB:
		return strings.HasPrefix(a, restB)
	}
	return a == b
}

// expandedNames returns the name of a block in a text. It ends in [anyName] if for_each makes
// several of the block. That of a file block is its path.
func expandedNames(b *hclsyntax.Block) string {
	name, _ := label(b)
	if b.Type == "file" {
		name = filePath(b)
	}
	attr := b.Body.Attributes[forEach]
	switch {
	case attr == nil:
		return name
	case name == "" || b.Type == "file" && climbs(attr.Expr):
		return anyName
	case b.Type == "file":
		return strings.TrimSuffix(name, "/") + "/" + anyName
	}
	return name + "-" + anyName
}

// climbs reports whether a text in an expression can lead out of a folder.
func climbs(expr hclsyntax.Expression) (found bool) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String && !l.Val.IsNull() {
			found = found || strings.Contains(l.Val.AsString(), "..")
		}
		return nil
	})
	return found
}
