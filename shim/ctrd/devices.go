package ctrd

import (
	"github.com/sallyport/sallyport/shim/hint"
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

func (c *Client) findDevices(container spec.Container) (found []oci.Device, given oci.CDI, err error) {
	if found, err = c.devices.Find(container); err != nil {
		return nil, oci.CDI{}, err
	}
	given, err = c.devices.FindCDI(container)
	return found, given, err
}
