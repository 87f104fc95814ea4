package oci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// createCapabilities gives root the container's set, and what its unsafe block names. Another user
// has no use for the default set and gets none of it. What the file names was named for that user,
// so it is ambient: only ambient capabilities survive the start of the program.
func createCapabilities(c spec.Container, otherUser bool) (*specs.LinuxCapabilities, error) {
	if err := checkCapabilities(c); err != nil {
		return nil, err
	}
	names, named := c.Capabilities, slices.Concat(c.Capabilities, c.Unsafe.Capabilities)
	if names == nil {
		names = spec.DefaultCapabilities
	}
	set, own := capabilitySet(slices.Concat(names, c.Unsafe.Capabilities)), capabilitySet(named)
	caps := &specs.LinuxCapabilities{Bounding: set}
	switch {
	case !otherUser:
		caps.Permitted, caps.Effective = set, set
	case c.Capabilities != nil || len(own) > 0:
		caps.Permitted, caps.Effective, caps.Inheritable, caps.Ambient = own, own, own, own
	}
	return caps, nil
}

// checkCapabilities refuses what package promise would take away, so that the author of the group
// file learns of it. The decoder of group files refuses the same with the place. That it is refused
// here as well keeps a mistake there from opening a way out. An unsafe block is the ambassador's
// alone, and may name two capabilities.
func checkCapabilities(c spec.Container) error {
	for _, name := range c.Capabilities {
		if !slices.Contains(spec.GrantableCapabilities(), name) {
			return &hint.Error{
				Err:  fmt.Errorf("container %q asks for the capability %s, which no container of a group can have", c.Name, name),
				Hint: "take it out of the container's capabilities",
			}
		}
	}
	unsafe := spec.UnsafeCapabilities()
	for _, name := range c.Unsafe.Capabilities {
		if c.Role != spec.Ambassador || !slices.Contains(unsafe, name) {
			return &hint.Error{
				Err:  fmt.Errorf("container %q asks for %s as unsafe, which only the ambassador can, and only for %s", c.Name, name, strings.Join(unsafe, " and ")),
				Hint: "take it out of the container's unsafe block",
			}
		}
	}
	return nil
}

// capabilitySet returns the names sorted and with CAP_. It never returns nil.
func capabilitySet(names []string) []string {
	set := make([]string, 0, len(names))
	for _, name := range names {
		set = append(set, "CAP_"+name)
	}
	slices.Sort(set)
	return slices.Compact(set)
}
