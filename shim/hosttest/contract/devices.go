package contract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// DevicePath is where containers of the checks have their devices.
const DevicePath = "/dev/contract/0"

func checkDevices(ctx context.Context, f Fixture, group string) error {
	with := func(name string, d spec.Device) spec.Container {
		return spec.Container{Name: name, Role: spec.App, Devices: []spec.Device{d}}
	}
	t, err := newHarness(ctx, f, group, with("web", spec.Device{Path: f.Device, To: DevicePath}),
		with("without", spec.Device{Path: f.NoDevice, To: DevicePath, Optional: true}), spec.Container{Name: "none", Role: spec.App})
	if err != nil {
		return err
	}
	defer t.end()
	found, err := t.reported("web", "without", "none")
	if err != nil {
		return err
	}
	want := map[string]map[string]string{"web": {DevicePath: "r"}}
	told := map[string]string{"web": f.Device, "without": f.NoDevice}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if got := found[name].Devices; !maps.Equal(got, want[name]) {
			return fmt.Errorf("%s opens the devices %v, want %v", name, got, want[name])
		}
		s, err := t.state(name)
		if err != nil || s == nil || !strings.Contains(s.Devices, told[name]) || (s.Devices == "") != (told[name] == "") {
			return fmt.Errorf("%s is observed as %+v (%w), want the device %q", name, s, err, told[name])
		}
	}
	return nil
}

func checkNoDevice(ctx context.Context, f Fixture, group string) error {
	t, err := newHarness(ctx, f, group,
		spec.Container{Name: "none", Role: spec.App, Devices: []spec.Device{{Path: f.NoDevice, To: DevicePath}}},
		spec.Container{Name: "out", Role: spec.App, Devices: []spec.Device{{Path: f.WayOut, To: DevicePath}}},
		spec.Container{Name: "unsafe", Role: spec.Ambassador, Devices: []spec.Device{{Path: f.WayOut, To: DevicePath, Unsafe: true}}},
		spec.Container{Name: "write", Role: spec.App, Devices: []spec.Device{{Path: f.Device, To: DevicePath, Access: "rw"}}})
	if err != nil {
		return err
	}
	defer t.end()
	for _, c := range t.group.Containers {
		if err := t.refused(c.Name); err != nil {
			return err
		}
	}
	return nil
}

// refused returns an error unless Create refuses a container with a hint and leaves nothing.
func (t *harness) refused(name string) error {
	refused := t.create(name)
	if err := t.absent(name, refused); err != nil {
		return err
	}
	if p, ok := errors.AsType[*hint.Error](refused); !ok || p.Hint == "" {
		return fmt.Errorf("%s: %w: no hint", name, refused)
	}
	return nil
}
