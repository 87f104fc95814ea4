package spec

import (
	"path"
	"regexp"
	"strings"
)

// ownDevices are the names that each container has below /dev.
var ownDevices = []string{
	"console", "core", "fd", "full", "init", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero",
}

// A refusedDevice is a kind of devices that no container of a group gets.
type refusedDevice struct {
	kind  string
	names *regexp.Regexp // below /dev; nil: it has no names that tell it
	why   string         // a sentence or more
}

func deviceNames(pattern string) *regexp.Regexp { return regexp.MustCompile("^(" + pattern + ")$") }

// refusedDevices are the kinds that have a reason of their own. The kernel's word for a device
// decides. So the names serve to find a mistake before anything is done, and no more.
var refusedDevices = []refusedDevice{
	{"own", deviceNames(strings.Join(ownDevices, "|") + "|(pts|shm|fd|mqueue)/.*"), "Each container has one of its own. Leave the block out."},
	{"tun", deviceNames(`net(/.*)?|tap[0-9]+`), "With tun and tap a process makes network links of its own, and sends packets that no rule of the group sees."},
	{"vhost", deviceNames(`vhost-.*|vhci|vduse.*|vdpa.*`), "With vhost the kernel itself sends a process's packets, and no rule of the group sees whose they are."},
	{"vsock", deviceNames(`vsock|vmci`), "Sockets of vsock lead to the hypervisor and to other virtual machines, past every rule of the group."},
	{"usb", deviceNames(`bus(/.*)?|usbmon.*`), "With usbfs a process drives a USB device by itself, and a modem or a network adapter is one. Give the container the device that the kernel's driver makes, such as /dev/ttyUSB0."},
	{"uinput", deviceNames(`uinput|input/uinput|uhid|userio`), "With it a process makes keyboards of the host, and types there."},
	{"disk", deviceNames(`(sd|hd|vd|xvd)[a-z]+[0-9]*|nvme.*|mmcblk.*|loop.*|dm-[0-9]+|md[0-9]+.*|nbd.*|zram.*|sr[0-9]+|sg[0-9]+|bsg(/.*)?|ram[0-9]+|mapper(/.*)?|disk(/.*)?|block(/.*)?|mtd.*|ubi.*|raw(/.*)?|btrfs-control|device-mapper`),
		"With a raw disk a process reads and changes any file of it, past every permission, and so what the host runs. Mount its file system on the host, and name the folder in a volume: host_path = \"/srv/data\""},
	{"memory", deviceNames(`mem|kmem|port|kcore|nvram|mergemem`), "With it a process reads and writes the memory and the ports of the host."},
	{"modem", deviceNames(`cdc-wdm[0-9]+|wwan.*|mhi_.*|qcqmi.*|rfcomm[0-9]+|gsmtty[0-9]+`), "A modem leads into the world, past every rule of the group."},
	{"network", deviceNames(`ppp|infiniband(/.*)?|rdma.*|rfkill|vfio(/.*)?|nvme-fabrics|nvidia-caps-imex-channels(/.*)?|nvidia-nvswitch.*`), "It sends data to other machines, past every rule of the group."},
	{"fuse", deviceNames(`fuse|cuse`), "With fuse a process answers for files that others read, the host among them, and holds them up. It mounts nothing in a container anyway."},
	{"console", deviceNames(`tty[0-9]+|vcs.*|hvc[0-9]+|kmsg|ttyprintk|fb[0-9]+`), "It is a screen, a keyboard or the log of the host. Who has it reads and writes what the host's operators do."},
	{"kvm", deviceNames(`kvm|sev.*|tdx.*`), "A virtual machine runs a kernel of its own, beside the filter of system calls that keeps a container inside its group."},
	{"kernel", deviceNames(`cpu(/.*)?|cpu_dma_latency|userfaultfd|autofs|snapshot|mcelog|hpet|udmabuf|vga_arbiter|uio[0-9]+|ipmi.*|snd/seq|snd/hw.*`), "It is the kernel's own, and acts on the whole host."},
	{"unknown", nil, "It is none of the kinds that are known to be no way out: serial ports, GPIO, I2C, SPI, video, graphics, sound, watchdogs, clocks, random numbers and input."},
	{"radio", deviceNames(`radio[0-9]+|swradio[0-9]+|dvb(/.*)?`), "A radio sends to others, or lets others in, past every rule of the group."},
}

// DeviceReason returns why no container of a group gets a kind of devices, such as "tun" or "disk".
// A kind without a reason of its own has that of unknown ones.
func DeviceReason(kind string) string {
	why := ""
	for _, r := range refusedDevices {
		if r.kind == kind {
			return r.why
		}
		if r.kind == "unknown" {
			why = r.why
		}
	}
	return why
}

// RefusedDevice returns why no container of a group gets the device that has this path on a host.
// It returns "" for a path that can lead to a device of another kind.
func RefusedDevice(host string) string {
	name, ok := strings.CutPrefix(path.Clean(host), "/dev/")
	if !ok {
		return ""
	}
	for _, r := range refusedDevices {
		if r.names != nil && r.names.MatchString(name) {
			return r.why
		}
	}
	return ""
}

// readOnlyDevice returns why a device with this path can only be read, as the end of a sentence. It
// returns "" for others.
func readOnlyDevice(host string) string {
	switch {
	case within(host, "/dev/input"):
		return DeviceReadOnly["input"]
	case host == "/dev/hwrng":
		return DeviceReadOnly["hwrng"]
	}
	return ""
}

// DeviceReadOnly has the kinds of devices that a container can only read, each with why.
var DeviceReadOnly = map[string]string{
	"input": "a process that writes to an input device types on the host",
	"hwrng": "there is nothing to write to it",
}
