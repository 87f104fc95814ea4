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
	found, err := c.devices.Find(container)
	if err != nil {
		return hint.Bound(err)
	}
	return hint.Bound(oci.CheckDevices(container, found, leaves(g, container)))
}

// DeviceNotes implements [runner.Devices].
func (c *Client) DeviceNotes(g *spec.Group) (lines []string) {
	for _, one := range g.Containers {
		found, err := c.devices.Find(one)
		if err != nil {
			lines = append(lines, hint.Text(hint.Bound(err)))
			continue
		}
		for _, line := range oci.DeviceLines(one, found, leaves(g, one)) {
			lines = append(lines, one.Title()+": "+line)
		}
	}
	return lines
}
