package hosttest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// access is how each device of the host can be opened.
const access = "r"

// Forbid makes a device one that no container gets. The host has all others, to read, but for those
// at lost paths.
func (h *Host) Forbid(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forbidden[path] = true
}

// devices returns how a container opens its devices, by path, and a line for each. The caller holds
// mu.
func (h *Host) devices(c spec.Container) (opened map[string]string, lines string, err error) {
	var all []string
	opened = map[string]string{}
	for _, d := range c.Devices {
		switch {
		case h.absent[d.Path] && d.Optional:
			all = append(all, "device "+d.Path+" is not on this host")
			continue
		case h.absent[d.Path]:
			return nil, "", &hint.Error{Err: fmt.Errorf("container %s: this host has no device %s", c.Name, d.Path), Hint: "plug it in"}
		case h.forbidden[d.Path]:
			return nil, "", &hint.Error{Err: fmt.Errorf("container %s: %s is not for a container", c.Name, d.Path), Hint: "take it out"}
		case d.Access != "" && d.Access != access:
			return nil, "", &hint.Error{Err: fmt.Errorf("container %s: %s can only be read", c.Name, d.Path), Hint: "write access = \"r\""}
		}
		opened[cmp.Or(d.To, d.Path)] = access
		all = append(all, "device "+d.Path+": "+access)
	}
	return opened, strings.Join(all, "\n"), nil
}
