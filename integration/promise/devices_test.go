package promise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

const deviceTitle = "4. To reach a device that a container is not given"

// devices lists the ways to one. The app of the attackers has /dev/given, for reading.
var devices = []technique{
	{name: "device-write", what: "write to a device that it may read"},
	{name: "device-make", what: "make the tun device in /dev and open it", optional: true},
	{name: "device-bus", what: "make another device of the kernel in /dev and open it", optional: true},
	{name: "device-disk", what: "make a disk in /dev and open it", optional: true},
	{name: "device-line", what: "put a terminal under a line discipline, as a serial port that is to be a network link"},
}

// reachDevices is a part of class 4. No capture can see a device that is opened, so the attackers'
// calls are the judge. The control of what a container makes is root there, and the control of the
// whole section that the app opens what it is given.
func reachDevices(t *testing.T, r *outboundTest) {
	s := newSection(t, deviceTitle)
	has := func() bool { _, err := os.Stat("/dev/hwrng"); return err == nil }()
	for _, y := range r.all(technique{name: "device-given"}, nowhere, 0) {
		app := y.who != "sidecar" && y.who != "init"
		if opened := y.err == nil && y.o.Error == ""; opened != (app && has) {
			t.Errorf("%s opens the app's device: %t (%s, %v)", y.who, opened, y.o.Error, y.err)
		}
	}
	for _, x := range devices {
		for _, y := range r.all(x, nowhere, 0) {
			got := row{technique: x.title(), who: y.who, expected: refused, seen: refused, told: y.o.told(), control: "root there" + ifThere}
			if !x.optional {
				got.control = "root there"
			}
			switch {
			case y.err != nil:
				got.seen = "the attacker failed"
			case y.o.Error == "":
				got.seen = done
			}
			if x.name == "device-write" {
				got.control = "the app, for reading" + ifThere
			}
			s.add(got, y.o.Error, y.err)
		}
		if x.name == "device-write" {
			continue
		}
		if o := asRoot(r.Machine, r.ns, attackOrder{"self", x.name, nowhere, 0}); o.Error != "" && !o.lacking() {
			t.Errorf("not even root there can do %s, so that row proves nothing: %s", x.title(), o.Error)
		}
	}
	s.add(askForDevice(r.Machine, "a tun under the name of a serial port", unix.S_IFCHR, 10, 200))
	s.add(askForDevice(r.Machine, "a disk under the name of a serial port", unix.S_IFBLK, 7, 0))
	s.add(askForDevice(r.Machine, "the hypervisor's sockets under the name of a serial port", unix.S_IFCHR, 10, 258))
	if has {
		control := askForDevice(r.Machine, "control", unix.S_IFCHR, 10, 183)
		if control.seen != done {
			t.Error("not even a permitted device can be had by such a name, so those rows prove nothing")
		}
	}
}

// askForDevice makes a node on the host, and applies a group that asks for it.
func askForDevice(m *machine.Machine, what string, kind, major, minor uint32) row {
	m.T.Helper()
	dir, err := os.MkdirTemp("/dev", "sallyport")
	if err != nil {
		m.T.Fatal(err)
	}
	defer os.RemoveAll(dir)
	node := filepath.Join(dir, "ttyS9")
	if err := unix.Mknod(node, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		m.T.Fatal(err)
	}
	file := m.Write("asks.hcl", fmt.Sprintf("group \"asks\" {\n  egress = \"none\"\n  app \"app\" {\n    image = %q\n    command = [\"sleep\", \"1000\"]\n    device %q {}\n  }\n}\n", machine.AttackImage, node))
	got := row{technique: "a group file asks for " + what, who: "app", expected: refused, seen: done, told: "taken", control: "an allowed device by such a name" + ifThere}
	out, err := m.Try("apply", file)
	if err != nil && (strings.Contains(out+err.Error(), "not for a container of a group") || strings.Contains(out+err.Error(), "this host has no device")) {
		got.seen, got.told = refused, refused
	}
	if err == nil {
		m.Run("rm", "asks")
	}
	return got
}
