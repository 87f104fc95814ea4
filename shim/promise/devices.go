package promise

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// A Device is a device of the host that a container is given.
type Device struct {
	Path   string // required: in the container
	Access string // "r", "w" or "rw"; empty: all that a container can have of its kind
	Unsafe bool   // the operator knows that it may be a modem
	Kernel KernelDevice
}

// A KernelDevice is a device as the kernel has it. A path can lead anywhere, and a node with any
// name can be made, so the number and what the kernel has there are all that counts.
type KernelDevice struct {
	Type         string // "c" or "b"
	Major, Minor int64
	// Subsystem is the kernel's: "tty", "i2c-dev". It is empty if the kernel has nothing by that
	// number, or if its driver shows nothing but its name.
	Subsystem string
	Name      string   // the kernel's: "ttyUSB0", "hw_random"
	Drivers   []string // of what is behind it, and, without a Subsystem, of its major number
	Console   bool     // the kernel prints there
	// Interfaces are those of the USB device that it is part of. The first one is its own. It is
	// nil for what is no part of one.
	Interfaces []USBInterface
}

// A USBInterface is one function of a USB device.
type USBInterface struct {
	Class, Subclass, Protocol uint8
	Driver                    string // empty if no driver has it
}

// A Kind is a kind of devices that a container can have.
type Kind struct {
	Name   string // "serial port"
	Access string // the most that a container can have: "r" or "rw"
	Modem  Modem
}

// A Modem is whether a device leads into the world.
type Modem int

const (
	NoModem Modem = iota
	MayBe         // it claims to take the commands of a modem, as many boards do that are none
	IsModem       // its driver or the other functions of its USB device are those of a modem
)

// A rule recognises devices of one kind by the kernel's words.
type rule struct {
	subsystem string
	names     []string // beginnings, each before a number; "": the whole name
	kind      string
	access    string
}

// rules are all kinds that a container can have. netns/egress/RULES.md has the reason for each.
var rules = []rule{
	{"tty", serialPorts, "serial port", "rw"},
	{"gpio", []string{"gpiochip"}, "GPIO chip", "rw"},
	{"i2c-dev", []string{"i2c-"}, "I2C bus", "rw"},
	{"spidev", []string{"spidev"}, "SPI device", "rw"},
	{"video4linux", []string{"video", "v4l-subdev"}, "video device", "rw"},
	{"media", []string{"media"}, "media controller", "rw"},
	{"drm", []string{"renderD"}, "graphics processor", "rw"},
	{"drm", []string{"card"}, "graphics card with its screens", "rw"},
	{"kfd", []string{"kfd"}, "graphics processor", "rw"},
	{"sound", []string{"controlC", "pcmC", "midiC", "timer"}, "sound device", "rw"},
	{"watchdog", []string{"watchdog"}, "watchdog", "rw"},
	{"misc", []string{"watchdog"}, "watchdog", "rw"},
	{"misc", []string{"hw_random"}, "hwrng", "r"},
	{"rtc", []string{"rtc"}, "clock", "rw"},
	{"input", []string{"event", "mouse", "mice", "js"}, "input", "r"},
}

// serialPorts are the kernel's names of serial ports that have a plug. Those of virtual consoles
// (tty0, hvc0), of Bluetooth (rfcomm0) and of what a modem's driver makes (gsmtty1) are others.
var serialPorts = []string{
	"ttyS", "ttyUSB", "ttyACM", "ttyAMA", "ttyAML", "ttyAP", "ttyAS", "ttyAT", "ttyFIQ", "ttyGS", "ttyHS", "ttyLP", "ttyMI", "ttyMSM", "ttymxc", "ttyO",
	"ttyPS", "ttyRP", "ttySAC", "ttySC", "ttySIF", "ttySTM", "ttyTHS", "ttyUL", "ttyXR", "ttyXRUSB",
}

// graphicsDrivers are the names in /proc/devices of a driver that shows nothing in /sys. One for
// what several machines share (nvidia-caps-imex-channels, nvidia-nvswitch) is not among them.
var graphicsDrivers = []string{"nvidia", "nvidia-frontend", "nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-caps"}

// refusedKinds are the words of [spec.DeviceReason] for subsystems of the kernel, and those for its
// names in the subsystem misc.
var (
	refusedKinds = map[string]string{
		"usb": "usb", "usbmon": "usb", "usbmisc": "modem", "wwan": "modem", "mhi": "modem", "vduse": "vhost", "vhost-vdpa": "vhost", "tap": "tun", "macvtap": "tun",
		"ppp": "network", "infiniband_verbs": "network", "infiniband_mad": "network", "infiniband_cm": "network", "vfio": "network", "vfio-dev": "network", "iommu": "network",
		"scsi_generic": "disk", "bsg": "disk", "nvme": "disk", "nvme-generic": "disk", "mtd": "disk", "ubi": "disk", "raw": "disk", "block": "disk",
		"vc": "console", "graphics": "console", "cpuid": "kernel", "msr": "kernel", "uio": "kernel", "ipmi": "kernel", "dma_heap": "kernel", "dvb": "radio",
	}
	refusedMisc = map[string]string{
		"tun": "tun", "vhost-net": "vhost", "vhost-vsock": "vhost", "vhost-scsi": "vhost", "vhci": "vhost", "vsock": "vsock", "vmci": "vsock", "uinput": "uinput", "uhid": "uinput",
		"userio": "uinput", "fuse": "fuse", "cuse": "fuse", "loop-control": "disk", "btrfs-control": "disk", "device-mapper": "disk", "mapper/control": "disk", "nvram": "memory",
		"kvm": "kvm", "sev": "kvm", "rfkill": "network", "rdma_cm": "network", "nvme-fabrics": "network", "vfio": "network", "autofs": "kernel", "userfaultfd": "kernel",
		"cpu_dma_latency": "kernel", "vga_arbiter": "kernel", "hpet": "kernel", "snapshot": "kernel", "udmabuf": "kernel", "mcelog": "kernel",
	}
)

// KindOf returns the kind of a device, or why no container of a group gets it: a sentence or more.
func KindOf(k KernelDevice) (kind Kind, why string) {
	if k.Type != "c" && k.Type != "u" {
		return Kind{}, spec.DeviceReason("disk")
	}
	for _, r := range rules {
		if r.subsystem != k.Subsystem || !slices.ContainsFunc(r.names, func(begin string) bool { return numbered(k.Name, begin) }) {
			continue
		}
		kind = Kind{Name: r.kind, Access: r.access}
		if k.Subsystem == "tty" {
			if k.Console {
				return Kind{}, "The kernel prints there, and it is the console of the host: who has it reads and types what the host's operators do. Take it out of the kernel's command line (console=), and start the host again."
			}
			kind.Modem = modem(k)
		}
		return kind, ""
	}
	switch {
	case k.Subsystem == "" && slices.ContainsFunc(k.Drivers, func(d string) bool { return slices.Contains(graphicsDrivers, d) }):
		return Kind{Name: "graphics processor", Access: "rw"}, ""
	case k.Subsystem == "mem" && slices.Contains([]string{"mem", "kmem", "port"}, k.Name):
		return Kind{}, spec.DeviceReason("memory")
	case k.Subsystem == "mem" && k.Name != "kmsg", k.Subsystem == "tty" && (k.Name == "tty" || k.Name == "ptmx"):
		return Kind{}, spec.DeviceReason("own")
	case k.Subsystem == "tty" && (strings.HasPrefix(k.Name, "rfcomm") || strings.HasPrefix(k.Name, "gsmtty")):
		return Kind{}, spec.DeviceReason("modem")
	case k.Subsystem == "mem", k.Subsystem == "tty" && (numbered(k.Name, "tty") || numbered(k.Name, "hvc") || k.Name == "console" || k.Name == "ttyprintk"):
		return Kind{}, spec.DeviceReason("console")
	case k.Subsystem == "video4linux":
		return Kind{}, spec.DeviceReason("radio")
	case k.Subsystem == "sound":
		return Kind{}, spec.DeviceReason("kernel")
	case k.Subsystem == "misc":
		return Kind{}, spec.DeviceReason(cmp.Or(refusedMisc[k.Name], "unknown"))
	}
	return Kind{}, spec.DeviceReason(cmp.Or(refusedKinds[k.Subsystem], "unknown"))
}

// numbered reports whether a name is the beginning alone, or with a number behind it. A number may
// have the marks of a bus, a card and a direction: spidev0.1, pcmC0D0p.
func numbered(name, begin string) bool {
	rest, ok := strings.CutPrefix(name, begin)
	return ok && strings.Trim(rest, "0123456789.Dcp") == "" && !strings.HasPrefix(rest, ".")
}

// Drivers of serial ports and of network links that modems alone have.
var (
	modemPorts = []string{"option", "option1", "qcserial", "qcaux", "sierra", "ipw", "hso", "moto_modem", "moto-modem", "Qualcomm USB modem", "Sierra USB modem"}
	modemLinks = []string{"qmi_wwan", "cdc_mbim", "cdc_ether", "cdc_ncm", "huawei_cdc_ncm", "rndis_host", "rndis_wlan", "sierra_net", "cdc_wdm", "cdc_phonet", "hso", "kalmia", "cx82310_eth", "ipheth", "option", "sierra", "qcserial"}
)

// Numbers of the USB class for communication, as USB-IF's list has them.
const (
	usbCommunication = 0x02
	usbAbstract      = 0x02 // a serial port, in that class
	usbWireless      = 0xe0
	usbMisc          = 0xef
	usbRNDIS         = 0x04 // a network link, in that class
)

// usbLinks are the subclasses of communication that are network links: WHCM, device management,
// ECM, EEM, NCM, MBIM.
var usbLinks = []uint8{0x08, 0x09, 0x06, 0x0c, 0x0d, 0x0e}

// modem judges a serial port by its own drivers and by what else is in its USB device.
func modem(k KernelDevice) Modem {
	if slices.ContainsFunc(k.Drivers, func(d string) bool { return slices.Contains(modemPorts, d) }) {
		return IsModem
	}
	for _, i := range k.Interfaces {
		link := i.Class == usbCommunication && slices.Contains(usbLinks, i.Subclass) || i.Class == usbWireless || i.Class == usbMisc && i.Subclass == usbRNDIS
		if link || slices.Contains(modemLinks, i.Driver) {
			return IsModem
		}
	}
	if len(k.Interfaces) > 0 {
		// Protocol 0 is none. Others are sets of commands, those of a modem among them.
		if own := k.Interfaces[0]; own.Class == usbCommunication && own.Subclass == usbAbstract && own.Protocol != 0 {
			return MayBe
		}
	}
	return NoModem
}

// Allowed returns the access that a container has to a device, or why it can't have it. leaves
// means that the container exchanges packets with the world anyway.
func (d Device) Allowed(leaves bool) (access, why string) {
	kind, why := KindOf(d.Kernel)
	access = cmp.Or(d.Access, kind.Access)
	switch {
	case why != "":
		return "", why
	case kind.Modem == IsModem && !leaves:
		return "", "It is the port of a modem, and a modem leads into the world. A member has no way out of its group. Give the port to the ambassador, with unsafe = true in the device's block."
	case kind.Modem == IsModem && !d.Unsafe:
		return "", "It is the port of a modem, which leads into the world past every rule of the group. If you give that up knowingly, write in the device's block: unsafe = true"
	case kind.Modem == MayBe && !d.Unsafe:
		return "", "The USB device claims to take the commands of a modem, as many boards do that are none. A modem leads into the world past every rule of the group. If you know that it is none, or give that up, write in the device's block: unsafe = true"
	case strings.Trim(access, kind.Access) != "":
		return "", fmt.Sprintf("It can only be read: %s. Write: access = %q", spec.DeviceReadOnly[kind.Name], kind.Access)
	case access != "r" && access != "w" && access != "rw":
		return "", fmt.Sprintf("%q is no access that a container has: making nodes is none.", access)
	}
	return access, ""
}

// devices refuses the devices of a spec that the policy doesn't have, and those of the policy that
// no container can have.
func (c *checker) devices(asked []specs.LinuxDevice, p Policy) {
	for _, d := range p.Devices {
		if _, why := d.Allowed(p.Leaves); why != "" {
			c.refuse("the device "+d.Path, why)
		}
	}
	for _, d := range asked {
		of := func(own Device) bool {
			return own.Path == d.Path && own.Kernel.Type == d.Type && own.Kernel.Major == d.Major && own.Kernel.Minor == d.Minor
		}
		if !harmless(d) && !slices.ContainsFunc(p.Devices, of) {
			kind := "unknown"
			if d.Type == "b" {
				kind = "disk"
			}
			c.refuse("the device "+d.Path, cmp.Or(spec.RefusedDevice(d.Path), spec.DeviceReason(kind)))
		}
	}
}

// deviceRules are the rules of a container's cgroup: nothing but the devices that it is given. A
// runtime adds the harmless ones: null, zero, full, random, urandom, tty and pseudo-terminals.
func deviceRules(p Policy) []specs.LinuxDeviceCgroup {
	all := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for _, d := range p.Devices {
		access, why := d.Allowed(p.Leaves)
		if why != "" {
			continue
		}
		all = append(all, specs.LinuxDeviceCgroup{Allow: true, Type: d.Kernel.Type, Major: &d.Kernel.Major, Minor: &d.Kernel.Minor, Access: access})
	}
	return all
}
