package oci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/promise"
)

// DevicesNow compares the devices that a container can open with what the kernel has by now at
// their numbers. The container was created from s, and lines are those of [DeviceLines] then.
// kernel returns the kernel's device of a number. What it can't find out counts as it was.
//
// now are the lines with what has changed. forbidden is why the container may not go on: a number
// that it can open has become a device that no container gets, or a modem's port that was none. It
// is empty if there is no such number.
func DevicesNow(s *specs.Spec, lines []string, kernel func(kind string, major, minor int64) (promise.KernelDevice, error)) (now []string, forbidden string) {
	now = slices.Clone(lines)
	if s == nil || s.Linux == nil || s.Linux.Resources == nil {
		return now, ""
	}
	for _, r := range s.Linux.Resources.Devices {
		if !r.Allow || r.Major == nil || r.Minor == nil {
			continue
		}
		number := numberText(*r.Major, *r.Minor)
		k, err := kernel(r.Type, *r.Major, *r.Minor)
		if err != nil {
			continue
		}
		at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, " "+number+", ") })
		note := func(text string) {
			if at >= 0 {
				now[at] = lines[at] + "; " + text
			}
		}
		// That its file allows a modem was asked when the container was created.
		access, why := promise.Device{Access: r.Access, Unsafe: true, Kernel: k}.Allowed(true)
		kind, _ := promise.KindOf(k)
		is := describeDevice(k, access)
		switch {
		case why != "" && k.Subsystem == "": // see Host.find in package devices
			note("it is unplugged")
		case why != "":
			note("its number is a device that no container gets by now")
			forbidden = fmt.Sprintf("its device %s is another one by now, which is not for a container of a group: %s", number, why)
		case at >= 0 && strings.HasSuffix(lines[at], ": "+is):
		case at >= 0 && kind.Modem != promise.NoModem && !wasModem(lines[at]):
			note("by now it is a " + is)
			forbidden = fmt.Sprintf("its device %s is the port of a modem by now, or may be one, and was none when the container was created", number)
		default:
			note("by now it is a " + is)
		}
	}
	return now, forbidden
}

// wasModem reports whether a line of [DeviceLines] is of a modem, or of what claims to be one.
func wasModem(line string) bool {
	return strings.HasSuffix(line, modemNote) || strings.HasSuffix(line, maybeNote)
}
