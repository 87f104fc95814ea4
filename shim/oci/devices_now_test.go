package oci

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// What the numbers of a running container's devices have become: the same, nothing, another device
// that it may have, and one that it may not have.
func TestDevicesNow(t *testing.T) {
	adapter := promise.KernelDevice{Type: "c", Major: 188, Subsystem: "tty", Name: "ttyUSB0", Drivers: []string{"ftdi_sio"}}
	modem := adapter
	modem.Drivers = []string{"option"}
	tun := promise.KernelDevice{Type: "c", Major: 188, Subsystem: "misc", Name: "tun"}
	camera := promise.KernelDevice{Type: "c", Major: 188, Subsystem: "video4linux", Name: "video0"}
	gone := promise.KernelDevice{Type: "c", Major: 188, Drivers: []string{"ttyUSB"}}
	const line = "device /dev/meter (/dev/ttyUSB0): serial port 188:0, rw"
	for _, tt := range []struct {
		name      string
		was, is   promise.KernelDevice
		err       error
		line      string
		forbidden string
	}{
		{"the same", adapter, adapter, nil, line, ""},
		{"unplugged", adapter, gone, nil, line + "; it is unplugged", ""},
		{"unknown", adapter, tun, errors.New("no answer"), line, ""},
		{"another kind", adapter, camera, nil, line + "; by now it is a video device 188:0, rw", ""},
		{"a tun", adapter, tun, nil, line + "; its number is a device that no container gets by now", "its device 188:0 is another one by now"},
		{"a modem", adapter, modem, nil, line + "; by now it is a serial port 188:0, rw, the port of a modem: a way out past every rule", "its device 188:0 is the port of a modem by now"},
		{"a modem, as before", modem, modem, nil, line + ", the port of a modem: a way out past every rule", ""},
		{"no modem any more", modem, adapter, nil, line + ", the port of a modem: a way out past every rule; by now it is a serial port 188:0, rw", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := testInput("web", spec.App, func(in *Input) {
				in.Leaves = true
				in.Devices = []Device{{Device: spec.Device{Path: "/dev/meter", Unsafe: true}, Node: "/dev/ttyUSB0", Kernel: tt.was}}
			})
			made, err := CreateSpec(in)
			if err != nil {
				t.Fatal(err)
			}
			lines := append(DeviceLines(in.Container, in.Devices, CDI{}, true), "CDI: files of the host, to read: 1")
			asked := 0
			now, forbidden := DevicesNow(made, lines, func(kind string, major, minor int64) (promise.KernelDevice, error) {
				if asked++; kind != "c" || major != 188 || minor != 0 {
					t.Errorf("asked for %s %d:%d", kind, major, minor)
				}
				return tt.is, tt.err
			})
			if diff := cmp.Diff([]string{tt.line, lines[1]}, now); diff != "" || asked != 1 {
				t.Errorf("asked %d times (-want +got):\n%s", asked, diff)
			}
			if !strings.HasPrefix(forbidden, tt.forbidden) || (forbidden == "") != (tt.forbidden == "") {
				t.Errorf("forbidden: %q, want %q", forbidden, tt.forbidden)
			}
		})
	}
	if now, forbidden := DevicesNow(&specs.Spec{}, []string{line}, nil); len(now) != 1 || forbidden != "" {
		t.Errorf("without devices: %q, %q", now, forbidden)
	}
}
