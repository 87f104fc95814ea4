package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checkFile reports every name, shape and label that doesn't belong where it stands. It leaves the
// insides of the groups to checkGroup.
func checkFile(body *hclsyntax.Body, m *meter, rep *report) {
	c := checker{m, rep}
	c.names(fileKind, body)
	for _, b := range body.Blocks {
		if b.Type != "group" {
			c.block(fileKind, b)
		}
	}
}

// checkGroup does the same for one group.
func checkGroup(group *hclsyntax.Block, m *meter, rep *report) {
	checker{m, rep}.block(fileKind, group)
}

type checker struct {
	meter *meter
	*report
}

func (c checker) block(parent string, b *hclsyntax.Block) {
	k, ok := kinds[b.Type]
	if !ok || !slices.Contains(kinds[parent].blocks, b.Type) {
		return // reported with its parent's names; its contents can't be checked
	}
	c.labels(k, b)
	c.names(b.Type, b.Body)
	for _, inner := range b.Body.Blocks {
		c.block(b.Type, inner)
	}
}

func (c checker) labels(k kind, b *hclsyntax.Block) {
	switch {
	case k.label == "" && len(b.Labels) > 0:
		c.errorf(b.LabelRanges[0], "Unexpected label", "%s has no label. Write: %s { ... }", upperFirst(k.title), b.Type)
	case k.label != "" && len(b.Labels) == 0 && namedInside(k, b):
	case k.label != "" && len(b.Labels) == 0:
		c.errorf(b.TypeRange, "Missing label", "%s has a label, %s. Write: %s \"...\" { ... }", upperFirst(k.title), k.label, b.Type)
	case k.label != "" && len(b.Labels) > 1:
		c.errorf(b.LabelRanges[1], "Unexpected label", "%s has one label, %s.", upperFirst(k.title), k.label)
	}
}

// namedInside reports whether a block without a label has its name from an attribute.
func namedInside(k kind, b *hclsyntax.Block) bool {
	return k.each && b.Body.Attributes[forEach] != nil || b.Type == "group" && b.Body.Attributes["name"] != nil
}

// names checks the names of a body's attributes and blocks.
func (c checker) names(parent string, body *hclsyntax.Body) {
	k := kinds[parent]
	for _, attr := range attributes(body) {
		if k.anyAttr || slices.Contains(k.attrs, attr.Name) || k.each && attr.Name == forEach {
			continue
		}
		if slices.Contains(k.blocks, attr.Name) && forbidden(parent, attr.Name, attr.Expr) == "" {
			c.errorf(attr.NameRange, "Not an attribute", "%q is a block. Write: %s", attr.Name, blockForm(attr.Name))
			continue
		}
		if c.unknown(parent, "attribute", attr.Name, attr.NameRange, attr.Expr) {
			c.forbid(parent, "", attr.NameRange, attr.Expr)
		}
	}
	first := map[string]hcl.Range{}
	for _, b := range body.Blocks {
		switch {
		case slices.Contains(k.blocks, b.Type):
			if at, seen := first[b.Type]; seen && kinds[b.Type].once {
				c.errorf(b.DefRange(), "Duplicate "+b.Type+" block", "There is already %s block here, on line %d. Put everything into one.", article(b.Type), at.Start.Line)
			}
			first[b.Type] = b.TypeRange
		case slices.Contains(k.attrs, b.Type):
			detail := fmt.Sprintf("%q is an attribute. Write: %s = ...", b.Type, b.Type)
			if instead := elsewhere(parent, b.Type); kinds[b.Type].label != "" && len(b.Labels) > 0 {
				detail = fmt.Sprintf("%s stands in the group block. As an attribute of a container %q is another thing: %s = ...", upperFirst(kinds[b.Type].title), b.Type, b.Type)
			} else if instead != "" {
				detail = fmt.Sprintf("%q is an attribute. %s", b.Type, instead)
			}
			c.errorf(b.TypeRange, "Not a block", "%s", detail)
			c.buried(parent, b.Body)
		case k.anyAttr:
			c.errorf(b.TypeRange, "Not a block", "%s holds only attributes. Write: %s = ...", upperFirst(k.title), b.Type)
		default:
			if c.unknown(parent, "block", b.Type, b.TypeRange, nil) {
				c.buried(parent, b.Body)
			}
		}
	}
}

// unknown reports a name that has no place in its parent, with the best explanation there is. It
// returns false if the explanation covers everything inside as well.
func (c checker) unknown(parent, shape, name string, at hcl.Range, value hclsyntax.Expression) bool {
	k := kinds[parent]
	if why := forbidden(parent, name, value); why != "" {
		c.errorf(at, "Not allowed in a group", "%s", why)
		return false
	}
	if slices.Contains(containerKinds, parent) && slices.Contains(parents(name), "ambassador") {
		c.errorf(at, "Only the ambassador has "+name, "%q stands in %s, and %s", name, k.title, doorOnly(name))
		return false
	}
	if why := noAfter[parent]; why != "" && name == "after" {
		c.errorf(at, "Only apps and sidecars have "+name, "%q stands in %s, and %s.", name, k.title, why)
		return false
	}
	if why := noOutputOf[parent]; why != "" && name == "output_of" {
		c.errorf(at, "Only a sidecar has "+name, "%q stands in %s, and %s.", name, k.title, why)
		return false
	}
	instead := elsewhereIn(parent, canonical(name))
	if name == forEach {
		instead = "It stands in " + list(eachKinds()) + " blocks."
	}
	if holds := len(k.blocks) > 0; instead == "" && (holds || nearest(name, k.attrs) == "") { // "ports" is a slip in a publish block
		instead = elsewhere(parent, name)
	}
	if instead != "" {
		c.errorf(at, "Unknown "+shape, "There is no %s %q in %s. %s", shape, name, k.title, instead)
		return true
	}
	c.errorf(at, "Unknown "+shape, "There is no %s %s in %s.%s %s", shape, quote(name), k.title, guess(k, name), allowance(k))
	return true
}

// guess returns what the author of an unknown name may have meant, as a sentence with a leading
// space. It returns "" without a guess.
func guess(k kind, name string) string {
	if in := parents(name); len(in) > 0 {
		return fmt.Sprintf(" It belongs in %s.", titles(in))
	}
	if suggestion := DidYouMean(name, slices.Concat(k.attrs, k.blocks)); suggestion != "" {
		return suggestion
	}
	if known := slipOfForeign(name); known != "" && len(k.blocks) > 0 {
		return fmt.Sprintf(" Did you mean %q? %s.", known, strings.TrimSuffix(foreign[known], "."))
	}
	return ""
}

// allowance returns a sentence with everything that may stand in a block of the kind.
func allowance(k kind) string {
	var parts []string
	if len(k.attrs)+len(k.blocks) == 1 {
		return "Only " + list(slices.Concat(k.attrs, k.blocks)) + " is allowed."
	}
	if len(k.attrs) > 0 {
		parts = append(parts, "the attributes "+list(k.attrs))
	}
	if len(k.blocks) > 0 {
		parts = append(parts, "the blocks "+list(k.blocks))
	}
	return "Allowed are " + strings.Join(parts, "; ") + "."
}

func titles(in []string) string {
	var all []string
	ofContainer := func(parent string) bool { return slices.Contains(containerKinds, parent) }
	if rest := slices.DeleteFunc(slices.Clone(in), ofContainer); len(in)-len(rest) == len(containerKinds) {
		all, in = append(all, "a container's block"), rest
	}
	for _, parent := range in {
		all = append(all, kinds[parent].title)
	}
	return strings.Join(all, " or ")
}

// attributes returns the body's attributes in the file's order.
func attributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	all := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return all
}

// blockForms are examples of the blocks that other systems write as an attribute.
var blockForms = map[string]string{
	"app":        `app "NAME" { image = "..." }`,
	"sidecar":    `sidecar "NAME" { image = "..." }`,
	"init":       `init "NAME" { image = "..." }`,
	"ambassador": `ambassador "NAME" { image = "..." }`,
	"volume":     `volume "NAME" { size = "64MiB" }`,
	"mount":      `mount "NAME" { path = "/path" }`,
	"tmpfs":      `tmpfs "/path" { size = "64MiB" }`,
	"secret":     `secret "NAME" { ... }`,
	"file":       `file "/path" { source = "NAME" }`,
	"device":     `device "/dev/ttyUSB0" { access = "rw" }`,
	"probe":      `probe "ready" { tcp = { port = 8080 } }`,
	"resources":  `resources { memory = "128MiB" }`,
	"restart":    `restart { policy = "always" }, "on-failure" or "never"`,
	"stop":       `stop { timeout = "10s" }`,
	"output":     `output { size = "50MiB" }`,
	"upstream":   `upstream "NAME" { listen = 9001 }`,
	"schedule":   `schedule { cron = "30 2 * * *" }`,
	"update":     `update { auto_revert = true }`,
	"dns":        `dns { servers = ["192.0.2.53"] }`,
}

func blockForm(name string) string {
	if form := blockForms[name]; form != "" {
		return form
	}
	if kinds[name].label == "" {
		return name + " { ... }"
	}
	return name + ` "..." { ... }`
}
