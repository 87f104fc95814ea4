package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// unsafeCapabilities are the ways around the group's rules that an operator may give to the
// ambassador. It may leave the group anyway. Every other way around the rules leads out of the
// container.
var unsafeCapabilities = []string{"NET_ADMIN", "NET_RAW"}

// unsafe reads which protections an operator gives up knowingly.
func (d *groupDecoder) unsafe(door *hclsyntax.Block) (u Unsafe) {
	block := single(door, "unsafe")
	if block == nil {
		return u
	}
	r := d.in(block)
	items, ok := r.list("capabilities")
	if !ok && r.has("capabilities") {
		return u // reported
	}
	if len(items) == 0 {
		d.errorf(block.DefRange(), "Empty unsafe block", "Nothing is given up here. Remove the block, or name what the ambassador needs: capabilities = [\"NET_ADMIN\"].")
	}
	for _, i := range items {
		v, ok := d.convert(i.value, cty.String, elementOf("capabilities"), i.at)
		if !ok {
			continue
		}
		name := capabilityName(v.AsString())
		switch why := leadsOut(name); {
		case slices.Contains(unsafeCapabilities, name):
			u.Capabilities = append(u.Capabilities, name)
		case why != "":
			d.errorf(i.at, "Not allowed in a group", "Not even an ambassador gets the capability %s: %s. What can be given up is %s.", name, why, list(unsafeCapabilities))
		case slices.Contains(grantable, name):
			d.errorf(i.at, "Not unsafe", "The capability %s gives nothing up. Move it to the ambassador's own capabilities, which are then all that it has.", name)
		default:
			d.errorf(i.at, "Unknown capability", "%s can't be given up.%s These can: %s.", quote(v.AsString()), DidYouMean(name, unsafeCapabilities), list(unsafeCapabilities))
		}
	}
	slices.Sort(u.Capabilities)
	u.Capabilities = slices.Compact(u.Capabilities)
	return u
}
