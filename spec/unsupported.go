package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A refusal is a name of the group file that does not work yet. It is refused rather than ignored,
// because everything that is accepted has to work. A refused name in the schema is still decoded
// and validated.
type refusal struct {
	in     []string // the block types in which the name may stand
	name   string   // a block's or an attribute's
	detail string   // the way to do without
}

// unsupported are all refusals. To switch a feature on, delete its row.
var unsupported = []refusal{}

func isRefused(refusals []refusal, parent, name string) bool {
	return slices.ContainsFunc(refusals, func(r refusal) bool { return r.matches(parent, name) })
}

func (r refusal) matches(parent, name string) bool {
	return r.name == name && slices.Contains(r.in, parent)
}

// refuse reports the names that don't work yet, except at places with another mistake.
func (c checker) refuse(parent string, body *hclsyntax.Body) {
	for _, attr := range attributes(body) {
		c.refuseName(parent, attr.Name, attr.SrcRange)
	}
	for _, b := range body.Blocks {
		c.refuseName(parent, b.Type, b.DefRange())
		if _, known := kinds[b.Type]; known {
			c.refuse(b.Type, b.Body)
		}
	}
}

func (c checker) refuseName(parent, name string, at hcl.Range) {
	for _, r := range c.refusals {
		if r.matches(parent, name) && !c.mentions(at) {
			c.errorf(at, "Not supported yet", "%q is not supported yet in %s. %s", name, kinds[parent].title, r.detail)
			return
		}
	}
}
