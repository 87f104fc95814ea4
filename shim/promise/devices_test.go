package promise

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func char(subsystem, name string) KernelDevice {
	return KernelDevice{Type: "c", Major: 240, Minor: 1, Subsystem: subsystem, Name: name}
}

// usbPort is a serial port of a USB device with these interfaces, its own first.
func usbPort(name string, drivers []string, interfaces ...USBInterface) KernelDevice {
	k := char("tty", name)
	k.Drivers, k.Interfaces = drivers, interfaces
	return k
}

func TestKindOf(t *testing.T) {
	console := char("tty", "ttyS0")
	console.Console = true
	atBoard := USBInterface{2, 2, 1, "cdc_acm"}
	for _, tt := range []struct {
		name string
		k    KernelDevice
		kind string // empty: refused
		why  string
	}{
		{"serial", char("tty", "ttyS1"), "serial port", ""},
		{"serial of a board", char("tty", "ttymxc2"), "serial port", ""},
		{"gpio", char("gpio", "gpiochip0"), "GPIO chip", ""},
		{"i2c", char("i2c-dev", "i2c-1"), "I2C bus", ""},
		{"spi", char("spidev", "spidev0.1"), "SPI device", ""},
		{"camera", char("video4linux", "video0"), "video device", ""},
		{"media", char("media", "media0"), "media controller", ""},
		{"render", char("drm", "renderD128"), "graphics processor", ""},
		{"card", char("drm", "card0"), "graphics card with its screens", ""},
		{"amd", char("kfd", "kfd"), "graphics processor", ""},
		{"nvidia", KernelDevice{Type: "c", Major: 195, Drivers: []string{"nvidia", "nvidiactl"}}, "graphics processor", ""},
		{"sound", char("sound", "pcmC0D0p"), "sound device", ""},
		{"watchdog", char("watchdog", "watchdog0"), "watchdog", ""},
		{"the first watchdog", char("misc", "watchdog"), "watchdog", ""},
		{"hwrng", char("misc", "hw_random"), "hwrng", ""},
		{"rtc", char("rtc", "rtc0"), "clock", ""},
		{"input", char("input", "event3"), "input", ""},

		{"console of the kernel", console, "", "console of the host"},
		{"virtual console", char("tty", "tty1"), "", "a screen, a keyboard"},
		{"console of the hypervisor", char("tty", "hvc0"), "", "a screen, a keyboard"},
		{"pseudo-terminals", char("tty", "ptmx"), "", "of its own"},
		{"bluetooth", char("tty", "rfcomm0"), "", "A modem"},
		{"serial of no known kind", char("tty", "ttyXYZ0"), "", "none of the kinds"},
		{"tun", char("misc", "tun"), "", "tun and tap"},
		{"tap", char("macvtap", "tap3"), "", "tun and tap"},
		{"vhost", char("misc", "vhost-net"), "", "vhost"},
		{"vsock", char("misc", "vsock"), "", "vsock"},
		{"usbfs", char("usb", "001"), "", "usbfs"},
		{"uinput", char("misc", "uinput"), "", "keyboards"},
		{"fuse", char("misc", "fuse"), "", "fuse"},
		{"kvm", char("misc", "kvm"), "", "virtual machine"},
		{"memory", char("mem", "mem"), "", "memory"},
		{"null under another name", char("mem", "null"), "", "of its own"},
		{"the log", char("mem", "kmsg"), "", "log"},
		{"modem", char("usbmisc", "cdc-wdm0"), "", "modem"},
		{"wwan", char("wwan", "wwan0at0"), "", "modem"},
		{"infiniband", char("infiniband_verbs", "uverbs0"), "", "other machines"},
		{"vfio", char("vfio", "12"), "", "other machines"},
		{"disk", KernelDevice{Type: "b", Major: 8, Subsystem: "block", Name: "sda"}, "", "raw disk"},
		{"disk under a name of a port", KernelDevice{Type: "b", Major: 8, Subsystem: "tty", Name: "ttyS1"}, "", "raw disk"},
		{"disk by characters", char("scsi_generic", "sg0"), "", "raw disk"},
		{"software radio", char("video4linux", "swradio0"), "", "radio"},
		{"sequencer", char("sound", "seq"), "", "whole host"},
		{"several machines' GPUs", KernelDevice{Type: "c", Major: 501, Drivers: []string{"nvidia-caps-imex-channels"}}, "", "none of the kinds"},
		{"nothing", KernelDevice{Type: "c", Major: 501}, "", "none of the kinds"},
		{"another number of a name", char("misc", "hw_random2.sock"), "", "none of the kinds"},
		{"unknown", char("tpmrm", "tpmrm0"), "", "none of the kinds"},
		{"pipe", KernelDevice{Type: "p"}, "", "raw disk"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, why := KindOf(tt.k)
			if kind.Name != tt.kind || !strings.Contains(why, tt.why) || (why == "") != (tt.kind != "") {
				t.Errorf("%+v, %q", kind, why)
			}
		})
	}
	for _, tt := range []struct {
		name string
		k    KernelDevice
		want Modem
	}{
		{"on the board", char("tty", "ttyS1"), NoModem},
		{"adapter", usbPort("ttyUSB0", []string{"ftdi_sio", "ftdi_sio"}, USBInterface{255, 255, 255, "ftdi_sio"}), NoModem},
		{"its driver", usbPort("ttyUSB0", []string{"option1", "option"}, USBInterface{255, 0, 0, "option"}), IsModem},
		{"its driver alone", usbPort("ttyUSB0", []string{"qcserial"}), IsModem},
		{"beside a link", usbPort("ttyUSB0", []string{"cdc_acm"}, USBInterface{2, 2, 0, "cdc_acm"}, USBInterface{10, 0, 0, "cdc_acm"}, USBInterface{255, 4, 1, "qmi_wwan"}), IsModem},
		{"beside a link without a driver", usbPort("ttyACM0", []string{"cdc_acm"}, USBInterface{2, 2, 0, "cdc_acm"}, USBInterface{2, 0x0e, 0, ""}), IsModem},
		{"beside RNDIS", usbPort("ttyACM0", []string{"cdc_acm"}, USBInterface{2, 2, 0, "cdc_acm"}, USBInterface{0xef, 4, 1, ""}), IsModem},
		{"says so", usbPort("ttyACM0", []string{"cdc_acm"}, atBoard), MayBe},
		{"another function says so", usbPort("ttyUSB0", []string{"ch341-uart"}, USBInterface{255, 1, 2, "ch341"}, atBoard), NoModem},
		{"says nothing", usbPort("ttyACM0", []string{"cdc_acm"}, USBInterface{2, 2, 0, "cdc_acm"}), NoModem},
	} {
		t.Run("modem: "+tt.name, func(t *testing.T) {
			if kind, why := KindOf(tt.k); kind.Modem != tt.want || why != "" {
				t.Errorf("%d, want %d; %q", kind.Modem, tt.want, why)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	modem, board := usbPort("ttyUSB0", []string{"option1"}), usbPort("ttyACM0", []string{"cdc_acm"}, USBInterface{2, 2, 1, "cdc_acm"})
	for _, tt := range []struct {
		name   string
		d      Device
		leaves bool
		access string
		why    string
	}{
		{"all of it", Device{Kernel: char("tty", "ttyS1")}, false, "rw", ""},
		{"less", Device{Kernel: char("tty", "ttyS1"), Access: "w"}, false, "w", ""},
		{"input", Device{Kernel: char("input", "event0")}, false, "r", ""},
		{"input, written", Device{Kernel: char("input", "event0"), Access: "rw"}, false, "", "types on the host"},
		{"input, written alone", Device{Kernel: char("input", "event0"), Access: "w"}, true, "", "can only be read"},
		{"hwrng, written", Device{Kernel: char("misc", "hw_random"), Access: "rw"}, false, "", "nothing to write"},
		{"nodes made", Device{Kernel: char("tty", "ttyS1"), Access: "rwm"}, false, "", "can only be"},
		{"a modem in a member", Device{Kernel: modem, Unsafe: true}, false, "", "A member has no way out"},
		{"a modem in the ambassador", Device{Kernel: modem}, true, "", "unsafe = true"},
		{"a modem, given up", Device{Kernel: modem, Unsafe: true}, true, "rw", ""},
		{"a board in a member", Device{Kernel: board}, false, "", "as many boards do"},
		{"a board in the ambassador", Device{Kernel: board}, true, "", "as many boards do"},
		{"a board, known", Device{Kernel: board, Unsafe: true}, false, "rw", ""},
		{"a disk, unsafe", Device{Kernel: KernelDevice{Type: "b"}, Unsafe: true}, true, "", "raw disk"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			access, why := tt.d.Allowed(tt.leaves)
			if access != tt.access || !strings.Contains(why, tt.why) || (why == "") != (tt.access != "") {
				t.Errorf("%q, %q", access, why)
			}
		})
	}
}

// The cgroup has the devices of the policy and no others that the spec asked for.
func TestEditDevices(t *testing.T) {
	s, p := ordinary(t), policy
	port := Device{Path: "/dev/meter", Kernel: KernelDevice{Type: "c", Major: 4, Minor: 65, Subsystem: "tty", Name: "ttyS1"}}
	keys := Device{Path: "/dev/input/event0", Kernel: KernelDevice{Type: "c", Major: 13, Minor: 64, Subsystem: "input", Name: "event0"}}
	p.Devices = []Device{port, keys}
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/meter", Type: "c", Major: 4, Minor: 65}, {Path: "/dev/input/event0", Type: "c", Major: 13, Minor: 64}}
	s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
	for range 2 {
		if err := Edit(s, p); err != nil {
			t.Fatal(err)
		}
		number := func(n int64) *int64 { return &n }
		want := []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"},
			{Allow: true, Type: "c", Major: number(4), Minor: number(65), Access: "rw"},
			{Allow: true, Type: "c", Major: number(13), Minor: number(64), Access: "r"},
		}
		if diff := cmp.Diff(want, s.Linux.Resources.Devices); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A node of a permitted path has to be that of the permitted number.
func TestRefusedDevices(t *testing.T) {
	port := Device{Path: "/dev/meter", Kernel: KernelDevice{Type: "c", Major: 4, Minor: 65, Subsystem: "tty", Name: "ttyS1"}}
	for _, tt := range []struct {
		name   string
		d      specs.LinuxDevice
		policy []Device
		why    string
	}{
		{"the same", specs.LinuxDevice{Path: "/dev/meter", Type: "c", Major: 4, Minor: 65}, []Device{port}, ""},
		{"another number", specs.LinuxDevice{Path: "/dev/meter", Type: "c", Major: 10, Minor: 200}, []Device{port}, "none of the kinds"},
		{"a disk", specs.LinuxDevice{Path: "/dev/meter", Type: "b", Major: 4, Minor: 65}, []Device{port}, "raw disk"},
		{"another path", specs.LinuxDevice{Path: "/dev/other", Type: "c", Major: 4, Minor: 65}, []Device{port}, "none of the kinds"},
		{"no policy", specs.LinuxDevice{Path: "/dev/meter", Type: "c", Major: 4, Minor: 65}, nil, "none of the kinds"},
		{"a policy that no container has", specs.LinuxDevice{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}, []Device{{Path: "/dev/x", Kernel: char("misc", "tun")}}, "tun and tap"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, p := ordinary(t), policy
			s.Linux.Devices, p.Devices = []specs.LinuxDevice{tt.d}, tt.policy
			switch refused := Refusals(s, p); {
			case tt.why == "" && len(refused) > 0, tt.why != "" && (len(refused) != 1 || !strings.Contains(refused[0].Why, tt.why)):
				t.Errorf("%v", refused)
			}
		})
	}
}
