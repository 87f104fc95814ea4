package spec

import (
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// cdiName matches the names of CDI devices: VENDOR/CLASS=DEVICE, as section "Kind" and "Device" of
// the CDI specification have them.
var cdiName = regexp.MustCompile(`^[A-Za-z][-_.A-Za-z0-9]*/[A-Za-z][-_A-Za-z0-9]*=[A-Za-z0-9][-_.:A-Za-z0-9]*$`)

// maxCDI bounds the names of CDI devices of a container.
const maxCDI = 32

// cdi reads the names of a container's CDI devices, sorted, none twice. What a name means is known
// on the host alone.
func (d *groupDecoder) cdi(r reader) []string {
	items, ok := r.list("cdi")
	if !ok {
		return nil
	}
	var names []string
	for _, i := range items {
		v, ok := r.convert(i.value, cty.String, elementOf("cdi"), i.at)
		if !ok {
			continue
		}
		switch name := v.AsString(); {
		case strings.HasPrefix(name, "/dev/"):
			d.errorf(i.at, "Invalid CDI device", "%s is a path. Write a block for it: device %s {}", quote(name), quote(name))
		case len(name) > maxFileName || !cdiName.MatchString(name):
			d.errorf(i.at, "Invalid CDI device", "%s is no name of a CDI device. One has a vendor, a class and a device: \"nvidia.com/gpu=0\", \"nvidia.com/gpu=all\"", quote(name))
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxCDI {
		d.errorf(r.body.Attributes["cdi"].Expr.Range(), "Too many CDI devices", "A container has at most %d CDI devices.", maxCDI)
	}
	return names
}
