package ctrd

import (
	"encoding/json"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// leaves reports whether a container exchanges packets with the world by itself.
func leaves(g *spec.Group, c spec.Container) bool {
	return c.Role == spec.Ambassador || g.Egress == spec.EgressDirect
}

// CheckDevices implements [runner.Devices].
func (c *Client) CheckDevices(g *spec.Group, container spec.Container) error {
	found, given, err := c.findDevices(container)
	if err != nil {
		return hint.Bound(err)
	}
	return hint.Bound(oci.CheckDevices(container, found, given, leaves(g, container)))
}

// DeviceNotes implements [runner.Devices].
func (c *Client) DeviceNotes(g *spec.Group) (lines []string) {
	for _, one := range g.Containers {
		found, given, err := c.findDevices(one)
		if err != nil {
			lines = append(lines, hint.Text(hint.Bound(err))+": "+hint.Of(err))
			continue
		}
		for _, line := range oci.DeviceLines(one, found, given, leaves(g, one)) {
			lines = append(lines, one.Title()+": "+line)
		}
	}
	return lines
}

// devicesNow adds what has become of a container's devices since it was created. What can't be read
// counts as it was.
func (c *Client) devicesNow(s *host.ContainerState, record containers.Container) {
	var made *specs.Spec
	if s.Devices == "" || record.Spec == nil || json.Unmarshal(record.Spec.GetValue(), &made) != nil {
		return
	}
	lines, forbidden := oci.DevicesNow(made, strings.Split(s.Devices, "\n"), c.devices.Kernel)
	s.Devices, s.Forbidden = strings.Join(lines, "\n"), hint.Excerpt(forbidden, hint.Long)
}

func (c *Client) findDevices(container spec.Container) (found []oci.Device, given oci.CDI, err error) {
	if found, err = c.devices.Find(container); err != nil {
		return nil, oci.CDI{}, err
	}
	given, err = c.devices.FindCDI(container)
	return found, given, err
}
