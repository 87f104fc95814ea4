package devices

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// recorded is a host whose /sys is that of testdata, and whose nodes are these.
func recorded(t *testing.T, nodes map[string]node) Host {
	t.Helper()
	root := t.TempDir()
	text, err := os.ReadFile("testdata/sys.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		write := func(path string, make func(path string) error) {
			path = filepath.Join(root, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), make(path)); err != nil {
				t.Fatal(err)
			}
		}
		if path, target, ok := strings.Cut(line, " -> "); ok {
			write(path, func(path string) error { return os.Symlink(target, path) })
		} else if path, content, ok := strings.Cut(line, " = "); ok {
			write(path, func(path string) error {
				return os.WriteFile(path, []byte(strings.ReplaceAll(content, "|", "\n")+"\n"), 0o644)
			})
		}
	}
	return Host{root: root, stat: func(path string) (node, error) {
		n, ok := nodes[path]
		if !ok {
			return n, &fs.PathError{Op: "lstat", Path: path, Err: fs.ErrNotExist}
		}
		if n.path == "" {
			n.path = path
		}
		n.mode = 0o660
		return n, nil
	}}
}

// Each path of the recorded host, and what plan shows of it.
func TestRecordedHost(t *testing.T) {
	h := recorded(t, map[string]node{
		"/dev/ttyS0":              {kind: "c", major: 4, minor: 64},
		"/dev/ttyS1":              {kind: "c", major: 4, minor: 65},
		"/dev/screen":             {kind: "c", major: 4, minor: 1},
		"/dev/video0":             {kind: "c", major: 81},
		"/dev/serial/by-id/meter": {kind: "c", major: 188, path: "/dev/ttyUSB0"},
		"/dev/ttyUSB1":            {kind: "c", major: 188, minor: 1},
		"/dev/ttyUSB9":            {kind: "c", major: 188, minor: 9},
		"/dev/ttyACM0":            {kind: "c", major: 166},
		"/dev/gpiochip0":          {kind: "c", major: 254},
		"/dev/i2c-1":              {kind: "c", major: 89, minor: 1},
		"/dev/hwrng":              {kind: "c", major: 10, minor: 183},
		"/dev/ttyS9":              {kind: "c", major: 10, minor: 200}, // a tun under the name of a port
		"/dev/ttyS8":              {kind: "b", major: 8},
		"/dev/nvidia0":            {kind: "c", major: 195},
		"/dev/nvidia1":            {kind: "b", major: 195},
		"/dev/dri":                {},
	})
	const none = "is not for a container of a group: "
	for _, tt := range []struct {
		path   string
		unsafe bool
		leaves bool
		want   string // part of the line or of the error
	}{
		{"/dev/ttyS0", false, false, none + "The kernel prints there"},
		{"/dev/ttyS1", false, false, "device /dev/ttyS1: serial port 4:65, rw"},
		{"/dev/screen", false, false, none + "It is a screen"},
		{"/dev/video0", false, false, "video device 81:0, rw"},
		{"/dev/serial/by-id/meter", false, false, "device /dev/serial/by-id/meter (/dev/ttyUSB0): serial port 188:0, rw"},
		{"/dev/ttyUSB1", true, false, none + "It is the port of a modem"},
		{"/dev/ttyUSB1", false, true, none + "It is the port of a modem"},
		{"/dev/ttyUSB1", true, true, "the port of a modem: a way out past every rule"},
		{"/dev/ttyUSB9", false, false, "this host has no device /dev/ttyUSB9"},
		{"/dev/ttyACM0", false, false, none + "The USB device claims"},
		{"/dev/ttyACM0", true, false, "which claims to be a modem"},
		{"/dev/gpiochip0", false, false, "GPIO chip 254:0, rw"},
		{"/dev/i2c-1", false, false, "I2C bus 89:1, rw"},
		{"/dev/hwrng", false, false, "hwrng 10:183, r"},
		{"/dev/ttyS9", true, true, none + "With tun and tap"},
		{"/dev/ttyS8", true, true, none + "With a raw disk"},
		{"/dev/nvidia0", false, false, "graphics processor 195:0, rw"},
		{"/dev/nvidia1", false, false, "this host has no device"},
		{"/dev/dri", false, false, "/dev/dri is a folder or a file, and no device"},
		{"/dev/ttyUSB5", false, false, "this host has no device /dev/ttyUSB5"},
	} {
		c := spec.Container{Name: "web", Devices: []spec.Device{{Path: tt.path, Unsafe: tt.unsafe}}}
		found, err := h.Find(c)
		got := hint.Text(err)
		if err == nil {
			got = strings.Join(oci.DeviceLines(c, found, oci.CDI{}, tt.leaves), "\n")
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A container does without an optional device, and not without another one.
func TestOptional(t *testing.T) {
	h := recorded(t, map[string]node{"/dev/ttyS1": {kind: "c", major: 4, minor: 65}, "/dev/dri": {}})
	absent := spec.Device{Path: "/dev/ttyUSB0", Optional: true}
	c := spec.Container{Name: "web", Devices: []spec.Device{{Path: "/dev/ttyS1"}, absent}}
	found, err := h.Find(c)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"device /dev/ttyS1: serial port 4:65, rw", "device /dev/ttyUSB0 is not on this host, and the container runs without it until it is created again"}
	if diff := cmp.Diff(want, oci.DeviceLines(c, found, oci.CDI{}, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.Devices[1] = spec.Device{Path: "/dev/dri", Optional: true}
	if _, err := h.Find(c); err == nil || hint.Of(err) == "" {
		t.Errorf("a folder: %v", err)
	}
}

// What this host has is found: a node that every host has, and no device.
func TestThisHost(t *testing.T) {
	_, err := New().Find(spec.Container{Name: "web", Devices: []spec.Device{{Path: "/dev/none-of-them/x"}}})
	if hint.Of(err) == "" || !strings.Contains(err.Error(), "this host has no device") {
		t.Errorf("%v", err)
	}
	n, err := statNode("/dev/null")
	if err != nil || n.kind != "c" || n.major != 1 || n.minor != 3 || n.path != "/dev/null" {
		t.Errorf("%+v, %v", n, err)
	}
	k, err := New().Kernel(n.kind, n.major, n.minor)
	if err != nil || k.Subsystem != "mem" || k.Name != "null" {
		t.Errorf("%+v, %v", k, err)
	}
	if n, err := statNode("/dev"); err != nil || n.kind != "" {
		t.Errorf("%+v, %v", n, err)
	}
}
