package spec

import (
	"slices"

	"github.com/zclconf/go-cty/cty"
)

var textType = cty.String

// maxGroups is the most supplementary groups of a container. The kernel takes 65,536.
const maxGroups = 256

// groups reads the supplementary groups of a container's user, sorted.
func (d *groupDecoder) groups(r reader) []string {
	items, ok := r.list("groups")
	if !ok {
		return nil
	}
	var all []string
	for _, i := range items {
		v, ok := r.convert(i.value, textType, elementOf("groups"), i.at)
		if !ok {
			continue
		}
		if !validID(v.AsString()) {
			d.errorf(i.at, "Invalid group", "%s is no group. Write a number or a name from the image: \"2000\", \"adm\".", quote(v.AsString()))
			continue
		}
		all = append(all, v.AsString())
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxGroups {
		d.errorf(r.body.Attributes["groups"].Expr.Range(), "Too many groups", "A container's user has at most %d groups beside its own, and this one has %d.", maxGroups, len(all))
	}
	return all
}
