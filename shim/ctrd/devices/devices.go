// Package devices finds the devices of the host that a group file names, and reads what the kernel
// has behind them. It decides nothing: package promise does.
//
// A path and a node can be made to lead anywhere. So everything that is read about a device is read
// by its number, which is also what the container's cgroup goes by.
package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// A Host is where devices are looked for.
type Host struct {
	root string // of /sys, /proc, and the CDI specs
	stat func(path string) (node, error)
}

// New returns this host.
func New() Host { return At("/") }

// At returns this host with the /sys, /proc and CDI specs below root, for tests.
func At(root string) Host { return Host{root: root, stat: statNode} }

// A node is a device file. A path that leads to another kind of file has no type.
type node struct {
	path         string // to which the links of the path lead
	kind         string // "c", "b", or "" for what is no device
	major, minor int64
	mode         os.FileMode
	uid, gid     uint32
}

func statNode(path string) (node, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return node{}, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(real, &st); err != nil {
		return node{}, &fs.PathError{Op: "lstat", Path: real, Err: err}
	}
	n := node{path: real, mode: os.FileMode(st.Mode & 0o777), uid: st.Uid, gid: st.Gid}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		n.kind = "c"
	case unix.S_IFBLK:
		n.kind = "b"
	}
	n.major, n.minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	return n, nil
}

// Find returns the devices of a container. A device that the host does not have is a [hint.Error],
// unless the container runs without it.
func (h Host) Find(c spec.Container) ([]oci.Device, error) {
	var found []oci.Device
	for _, v := range c.Devices {
		d, err := h.find(v)
		if errors.Is(err, fs.ErrNotExist) && v.Optional {
			d, err = oci.Device{Device: v, Absent: true}, nil
		}
		if err != nil {
			return nil, missing(c, v, err)
		}
		found = append(found, d)
	}
	return found, nil
}

func (h Host) find(v spec.Device) (oci.Device, error) {
	n, err := h.stat(v.Path)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return oci.Device{}, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case err != nil:
		return oci.Device{}, err
	case n.kind == "":
		return oci.Device{}, errNoDevice
	}
	kernel, err := h.Kernel(n.kind, n.major, n.minor)
	if err != nil {
		return oci.Device{}, err
	}
	if _, why := promise.KindOf(kernel); why != "" && kernel.Subsystem == "" { // not even a driver that hides its devices
		return oci.Device{}, fmt.Errorf("%s is there, and the kernel has no device %d:%d: %w", n.path, n.major, n.minor, fs.ErrNotExist)
	}
	return oci.Device{Device: v, Kernel: kernel, Node: n.path, Owned: specs.LinuxDevice{FileMode: &n.mode, UID: &n.uid, GID: &n.gid}}, nil
}

// errNoDevice is the error for a path that leads to a folder or a plain file.
var errNoDevice = errors.New("it is no device")

// missing returns the error for a device that can't be given to a container, with what to do.
func missing(c spec.Container, v spec.Device, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &hint.Error{
			Err:  fmt.Errorf("container %q: this host has no device %s", c.Name, v.Path),
			Hint: "plug it in: it is looked for again by itself; or write optional = true in its block, for a container that does without" + beside(v.Path),
		}
	case errors.Is(err, errNoDevice):
		return &hint.Error{
			Err:  fmt.Errorf("container %q: %s is a folder or a file, and no device", c.Name, v.Path),
			Hint: "write a device block for each device that the container is to have" + beside(filepath.Join(v.Path, "x")),
		}
	}
	return fmt.Errorf("container %q: device %s: %w", c.Name, v.Path, err)
}

// mostNames bounds how many names are listed.
const mostNames = 8

// beside returns what else is in the folder of a device, as the end of a hint. Most of /dev is no
// answer, so its names are left out.
func beside(path string) string {
	dir := filepath.Dir(path)
	if dir == "/dev" {
		return ""
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries[:min(len(entries), mostNames)] {
		names = append(names, hint.Excerpt(e.Name(), hint.Short))
	}
	if len(names) == 0 {
		return ""
	}
	if len(entries) > mostNames {
		names = append(names, fmt.Sprintf("and %d more", len(entries)-mostNames))
	}
	return "; in " + dir + " there are: " + strings.Join(names, ", ")
}

// Kernel returns what the kernel has by a number.
func (h Host) Kernel(kind string, major, minor int64) (promise.KernelDevice, error) {
	k := promise.KernelDevice{Type: kind, Major: major, Minor: minor}
	class := map[string]string{"c": "char", "b": "block"}[kind]
	dir, err := filepath.EvalSymlinks(filepath.Join(h.root, "sys/dev", class, fmt.Sprintf("%d:%d", major, minor)))
	if errors.Is(err, fs.ErrNotExist) { // a driver that shows nothing there, or a node without a device
		k.Drivers, err = h.majorDrivers(class, major)
		return k, err
	}
	if err != nil {
		return k, err
	}
	k.Name = filepath.Base(dir)
	if k.Subsystem, err = linkName(filepath.Join(dir, "subsystem")); err != nil {
		return k, err
	}
	if k.Subsystem == "tty" {
		k.Console, err = h.isConsole(k.Name)
	}
	if err != nil {
		return k, err
	}
	return k, h.behind(dir, &k)
}

// linkName returns the last part of what a link names. It is "" if there is no link.
func linkName(path string) (string, error) {
	to, err := os.Readlink(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return filepath.Base(to), err
}

// behind walks up from a device to what it is part of. It adds the drivers on the way up, and the
// functions of the USB device if there is one.
func (h Host) behind(dir string, k *promise.KernelDevice) error {
	devices, err := filepath.EvalSymlinks(filepath.Join(h.root, "sys/devices"))
	if err != nil {
		return err
	}
	for ; strings.HasPrefix(dir, devices+"/"); dir = filepath.Dir(dir) {
		driver, err := linkName(filepath.Join(dir, "driver"))
		if err != nil {
			return err
		}
		if driver != "" {
			k.Drivers = append(k.Drivers, driver)
		}
		own, ok, err := usbInterface(dir)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		k.Interfaces = append(k.Interfaces, own)
		beside, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*:*.*"))
		if err != nil {
			return err
		}
		for _, other := range beside {
			if other == dir {
				continue
			}
			i, ok, err := usbInterface(other)
			if err != nil {
				return err
			}
			if ok {
				k.Interfaces = append(k.Interfaces, i)
			}
		}
		return nil
	}
	return nil
}

// usbInterface reads one function of a USB device. ok is false for a folder that is none.
func usbInterface(dir string) (i promise.USBInterface, ok bool, err error) {
	for name, into := range map[string]*uint8{"bInterfaceClass": &i.Class, "bInterfaceSubClass": &i.Subclass, "bInterfaceProtocol": &i.Protocol} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return i, false, nil
		}
		if err != nil {
			return i, false, err
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 16, 8)
		if err != nil {
			return i, false, fmt.Errorf("%s of %s: %w", name, dir, err)
		}
		*into = uint8(n)
	}
	i.Driver, err = linkName(filepath.Join(dir, "driver"))
	return i, err == nil, err
}

// isConsole reports whether the kernel prints to a terminal.
func (h Host) isConsole(name string) (bool, error) {
	b, err := os.ReadFile(filepath.Join(h.root, "sys/class/tty/console/active"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.Contains(strings.Fields(string(b)), name), err
}

// majorDrivers returns the names that /proc/devices has for a major number. There may be several,
// because a driver can have a part of its minor numbers.
func (h Host) majorDrivers(class string, major int64) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(h.root, "proc/devices"))
	if err != nil {
		return nil, err
	}
	part := map[string]string{"char": "Character devices:", "block": "Block devices:"}[class]
	var names []string
	in := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, ":") {
			in = line
			continue
		}
		number, name, ok := strings.Cut(line, " ")
		if ok && in == part && number == strconv.FormatInt(major, 10) {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names, nil
}
