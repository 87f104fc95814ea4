package ctrd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/devices"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// openings prints how a device can be opened, and what the node of another one is worth.
const openings = `ok() { if (eval "$1") 2>/dev/null; then echo yes; else echo no; fi; }
echo read: $(ok ": < /dev/keys/0") write: $(ok ": > /dev/keys/0") both: $(ok ": <> /dev/keys/0")
echo node: $(ok "mknod /dev/other c 1 3") $(ok "mknod /tmp/other c 1 3") $(stat -c %a:%u:%g /dev/keys/0 2>/dev/null)
echo others: $(ls /dev | tr "\n" " ")`

// A container opens the devices that it is given, in the ways that it is given, and makes no node.
// The kernel decides: the device is one that the host opens both ways. What the kernel calls it is
// made up, since few hosts have an input device.
func TestRootDevices(t *testing.T) {
	path := anyDevice(t)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev)
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		root := t.TempDir()
		call := func(subsystem string) { describeDevice(t, root, st.Rdev, subsystem) }
		call("input")
		library := filepath.Join(root, "library")
		described := fmt.Sprintf(`{"cdiVersion": "0.6.0", "kind": "vendor.com/gpu", "devices": [{"name": "0", "containerEdits": {
			"env": ["VENDOR=1"], "deviceNodes": [{"path": "/dev/gpu0", "hostPath": %q, "permissions": "r"}],
			"mounts": [{"hostPath": %q, "containerPath": "/usr/lib/vendor/library.so.1", "options": ["rw", "bind"]}],
			"hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook", "create-symlinks", "--link", "library.so.1::/usr/lib/vendor/library.so"]},
				{"hookName": "createContainer", "path": "/usr/bin/nvidia-ctk", "args": ["nvidia-ctk", "hook", "update-ldcache", "--folder", "/usr/lib/vendor"]}]}}]}`, path, library)
		described = strings.ReplaceAll(described, "\t", "") // its reader is one of YAML
		if err := errors.Join(os.WriteFile(library, []byte("text"), 0o644), os.MkdirAll(filepath.Join(root, "etc/cdi"), 0o755), os.WriteFile(filepath.Join(root, "etc/cdi/vendor.json"), []byte(described), 0o644)); err != nil {
			t.Fatal(err)
		}
		c.devices = devices.At(root)
		reads, without, none := script("reads", spec.App, openings), script("without", spec.App, openings), script("none", spec.App, openings)
		reads.Devices = []spec.Device{{Path: path, To: "/dev/keys/0"}}
		reads.Capabilities = spec.GrantableCapabilities()
		without.Devices = []spec.Device{{Path: "/dev/none-of-them", To: "/dev/keys/0", Optional: true}}
		cdi := script("cdi", spec.App, strings.ReplaceAll(openings, "/dev/keys/0", "/dev/gpu0")+"; echo $VENDOR $LD_LIBRARY_PATH $(cat /usr/lib/vendor/library.so) $(ok '> /usr/lib/vendor/library.so')")
		cdi.CDI = []string{"vendor.com/gpu=0"}
		holds := script("holds", spec.App, "sleep 1000")
		holds.Devices = reads.Devices
		r := newHarness(t, c, archive, reads, without, none, cdi, holds)
		r.run()
		mode := fmt.Sprintf("%o:%d:%d", st.Mode&0o777, st.Uid, st.Gid)
		for name, want := range map[string]string{
			"reads":   "read: yes write: no both: no\nnode: no no " + mode + "\nothers: fd full keys mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
			"without": "read: no write: no both: no\nnode: no no\nothers: fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
			"cdi":     "read: yes write: no both: no\nnode: no no " + mode + "\nothers: fd full gpu0 mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n1 /usr/lib/vendor text no",
			"none":    "read: no write: no both: no\nnode: no no\nothers: fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
		} {
			if out, _ := r.ended(name); strings.TrimSpace(out) != want {
				t.Errorf("%s:\n%s\nwant\n%s", name, out, want)
			}
		}
		if got, want := r.state("reads").Devices, fmt.Sprintf("device %s: input %d:%d, r", path, major, minor); got != want {
			t.Errorf("its device is %q, want %q", got, want)
		}
		if got := r.state("without").Devices; !strings.Contains(got, "not on this host") {
			t.Errorf("its device is %q", got)
		}

		// The same number is another device by now: what was judged once is judged again, also of a
		// container that runs.
		if got := r.state("holds"); got.Forbidden != "" || got.Devices != r.state("reads").Devices {
			t.Errorf("nothing has changed, and yet: %q, %q", got.Forbidden, got.Devices)
		}
		defer func() {
			if got := r.state("holds"); !strings.Contains(got.Forbidden, "is another one by now") || !strings.Contains(got.Devices, "no container gets by now") {
				t.Errorf("one that runs may go on with another device: %q, %q", got.Forbidden, got.Devices)
			}
		}()
		call("misc")
		if err := c.Remove(t.Context(), "g", "reads"); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), r.request("reads")); hint.Of(err) == "" || !strings.Contains(err.Error(), "is not for a container of a group") {
			t.Errorf("created with another device under its number: %v", err)
		}
		if err := c.CheckDevices(r.group, reads); err == nil {
			t.Error("a check says that it can be created")
		}
		control := reads
		control.Devices, r.group.Containers[0] = nil, reads
		r.group.Containers[0].Devices = nil
		if err := errors.Join(c.CheckDevices(r.group, control), c.Create(t.Context(), r.request("reads"))); err != nil {
			t.Errorf("without the device: %v", err)
		}
	})
}

// describeDevice makes up what the kernel has at the number of a device, below root.
func describeDevice(t *testing.T, root string, number uint64, subsystem string) {
	t.Helper()
	name := fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number))
	dir := filepath.Join(root, "sys/devices/virtual", name, "event0")
	link, at := filepath.Join(dir, "subsystem"), filepath.Join(root, "sys/dev/char", name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.MkdirAll(filepath.Dir(at), 0o755), os.RemoveAll(link), os.RemoveAll(at),
		os.Symlink("../../../class/"+subsystem, link), os.Symlink("../../devices/virtual/"+name+"/event0", at)); err != nil {
		t.Fatal(err)
	}
}

// anyDevice returns a device that the host's root opens for reading and for writing.
func anyDevice(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/dev/loop-control", "/dev/fuse", "/dev/net/tun"} {
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			f.Close()
			return path
		}
	}
	t.Fatal("this host has none of the devices that the test knows")
	return ""
}
