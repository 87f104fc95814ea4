package oci

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// A Device is a device of a container as it was found on the host.
type Device struct {
	spec.Device
	Kernel promise.KernelDevice
	Node   string // to which the path leads: "/dev/ttyUSB0"
	// Absent means that the host has none, and that the container runs without it.
	Absent bool
	// Owned has the mode, the owner and the group of the node on the host, and nothing else. The
	// container's node has the same.
	Owned specs.LinuxDevice
}

// allowed returns the access that a container has to the device. A device that no container gets
// is a [hint.Error].
func (v Device) allowed(container string, leaves bool) (promise.Device, string, error) {
	d := promise.Device{Path: v.InContainer(), Access: v.Access, Unsafe: v.Unsafe, Kernel: v.Kernel}
	access, why := d.Allowed(leaves)
	if why == "" {
		return d, access, nil
	}
	return d, "", &hint.Error{Err: fmt.Errorf("container %q: device %s is not for a container of a group: %s", container, v.named(), why), Hint: "correct its device block, or take it out"}
}

// named returns the path of the file, and where it leads to.
func (v Device) named() string {
	if v.Node != v.Path {
		return v.Path + " (" + v.Node + ")"
	}
	return v.Path
}

// createDevices returns the nodes of a container, and what the promise is to know of them.
func createDevices(in Input) (nodes []specs.LinuxDevice, devices []promise.Device, err error) {
	for _, v := range slices.Concat(in.Devices, in.CDI.Devices) {
		if v.Absent {
			continue
		}
		d, _, err := v.allowed(in.Container.Name, in.Leaves)
		if err != nil {
			return nil, nil, err
		}
		if at := slices.IndexFunc(nodes, func(n specs.LinuxDevice) bool { return n.Path == d.Path }); at >= 0 {
			if n := nodes[at]; n.Type == v.Kernel.Type && n.Major == v.Kernel.Major && n.Minor == v.Kernel.Minor {
				continue // the block is the more exact one, and comes first
			}
			return nil, nil, &hint.Error{
				Err:  fmt.Errorf("container %q: %s is the place of two devices, one of them from a CDI spec", in.Container.Name, d.Path),
				Hint: "give the device block another place: to = \"/dev/...\"",
			}
		}
		node := v.Owned
		node.Path, node.Type, node.Major, node.Minor = d.Path, v.Kernel.Type, v.Kernel.Major, v.Kernel.Minor
		devices, nodes = append(devices, d), append(nodes, node)
	}
	return nodes, devices, nil
}

// DeviceLines returns a line for each device of a container: what its path leads to on this host,
// or that the host does not have it, or why the container can't have it.
func DeviceLines(c spec.Container, found []Device, given CDI, leaves bool) (lines []string) {
	for _, v := range slices.Concat(found, given.Devices) {
		if v.Absent {
			lines = append(lines, fmt.Sprintf("device %s is not on this host, and the container runs without it until it is created again", v.Path))
			continue
		}
		_, access, err := v.allowed(c.Name, leaves)
		if err != nil {
			lines = append(lines, hint.Text(err))
			continue
		}
		lines = append(lines, fmt.Sprintf("device %s: %s", v.named(), describeDevice(v.Kernel, access)))
	}
	if n := len(given.Mounts); n > 0 {
		lines = append(lines, fmt.Sprintf("CDI: files of the host, to read: %d", n))
	}
	return append(lines, given.Left...)
}

// The ends of the lines of serial ports that are a modem's, or may be.
const (
	modemNote = ", the port of a modem: a way out past every rule"
	maybeNote = ", which claims to be a modem: if so, a way out past every rule"
)

// describeDevice returns what a device is: its kind, its number, and how it can be opened.
func describeDevice(k promise.KernelDevice, access string) string {
	kind, _ := promise.KindOf(k)
	text := fmt.Sprintf("%s %s, %s", kind.Name, numberText(k.Major, k.Minor), access)
	switch kind.Modem {
	case promise.IsModem:
		text += modemNote
	case promise.MayBe:
		text += maybeNote
	}
	return text
}

func numberText(major, minor int64) string { return fmt.Sprintf("%d:%d", major, minor) }

// CheckDevices returns a [hint.Error] if the container can't have one of its devices.
func CheckDevices(c spec.Container, found []Device, given CDI, leaves bool) error {
	_, _, err := createDevices(Input{Container: c, Devices: found, CDI: given, Leaves: leaves})
	return err
}
