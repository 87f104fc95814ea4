package spec

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// deviceAccess are the ways in which a container may use a device. Making nodes is none of them.
var deviceAccess = []string{"r", "w", "rw"}

// maxDevices bounds the device blocks of a container. Each is a rule of its cgroup.
const maxDevices = 64

// InContainer returns where the container finds the device.
func (v Device) InContainer() string {
	if v.To != "" {
		return v.To
	}
	return v.Path
}

// devices reads a container's device blocks, in the order of the file. Which device a path leads to
// is known on the host alone. So only names that can't be meant otherwise are refused here.
func (d *groupDecoder) devices(container *hclsyntax.Block) []Device {
	var all []Device
	taken := map[string]hcl.Range{}
	for i, b := range blocksOf(container.Body, "device") {
		if i == maxDevices {
			d.errorf(b.DefRange(), "Too many devices", "A container has at most %d devices.", maxDevices)
			break
		}
		r := d.in(b)
		v := Device{Optional: r.flag("optional"), Unsafe: r.flag("unsafe")}
		v.Access, _, _ = r.oneOf("access", deviceAccess)
		if p, ok := label(b); ok {
			v.Path = d.devicePath(p, b.LabelRanges[0])
		}
		at := b.DefRange()
		if to, toAt, ok := r.text("to", optional); ok {
			at = toAt
			if v.To = d.deviceTarget("to", to, at); v.To == v.Path {
				v.To = ""
			}
		} else if v.Path != "" {
			d.deviceTarget("device", v.Path, b.LabelRanges[0])
		}
		if to := v.InContainer(); to != "" {
			d.placeDevice(to, at, taken)
		}
		if why := readOnlyDevice(v.Path); why != "" && strings.Contains(v.Access, "w") {
			d.errorf(r.body.Attributes["access"].Expr.Range(), "Not allowed in a group", "%s can only be read: %s. Write: access = \"r\"", quote(v.Path), why)
		}
		all = append(all, v)
	}
	return all
}

// devicePath checks the path of a device on the host.
func (d *groupDecoder) devicePath(p string, at hcl.Range) string {
	if !path.IsAbs(p) {
		hint := ""
		if name, _, ok := strings.Cut(p, "="); ok && strings.Contains(name, "/") {
			hint = " The name of a device of a CDI spec stands in the container's block: cdi = [" + quote(p) + "]"
		}
		d.errorf(at, "Relative path", "The label of a device block is the path of a device on the host, such as \"/dev/ttyUSB0\", and %s does not begin with a slash.%s", quote(p), hint)
		return ""
	}
	clean := path.Clean(p)
	if host, to, ok := strings.Cut(clean, ":/"); ok && within(host, "/dev") {
		d.errorf(at, "Invalid device", "A device's place in the container is an attribute of its own. Write: device %s { to = %s }", quote(host), quote("/"+strings.Split(to, ":")[0]))
		return ""
	}
	switch why := RefusedDevice(clean); {
	case strings.ContainsRune(clean, 0) || len(clean) > maxPath:
		d.errorf(at, "Invalid device", "%s can't be a path.", quote(clean))
	case why != "":
		d.errorf(at, "Not allowed in a group", "%s", why)
	case clean == "/dev" || !within(clean, "/dev"):
		d.errorf(at, "Invalid device", "A device is a file below /dev, and %s is none.", quote(clean))
	default:
		return clean
	}
	return ""
}

// deviceTarget checks where a container is to find a device. The folder /dev is the one place where
// the kernel lets it open one.
func (d *groupDecoder) deviceTarget(what, p string, at hcl.Range) string {
	p, ok := d.absolute(what, p, at)
	if !ok {
		return ""
	}
	if why := DeviceTarget(p); why != "" {
		d.errorf(at, "Invalid device", "%s", why)
		return ""
	}
	return p
}

// DeviceTarget returns why a container can't find a device at a clean path, or "".
func DeviceTarget(p string) string {
	own := func(dir string) bool { return within(p, "/dev/"+dir) || within("/dev/"+dir, p) }
	switch {
	case p == "/dev" || !within(p, "/dev"):
		return "A container finds its devices below /dev, because nowhere else can one be opened. " + quote(p) + " is not there."
	case slices.ContainsFunc(ownDevices, own):
		return "Each container has " + quote(p) + " of its own. Choose another path below /dev."
	}
	return ""
}

// placeDevice notes where a device is placed. Nothing else may be there, above it or below it.
func (d *groupDecoder) placeDevice(p string, at hcl.Range, taken map[string]hcl.Range) {
	for _, other := range slices.Sorted(maps.Keys(taken)) {
		if p != other && (within(p, other) || within(other, p)) {
			d.errorf(at, "Below a file", "A device is placed at %s, on line %d, so nothing can be below it or above it. Choose another path.", quote(other), taken[other].Start.Line)
			return
		}
	}
	d.place(p, at, taken)
}
