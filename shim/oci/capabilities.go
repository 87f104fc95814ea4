package oci

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

// waysOut are the capabilities that get around the group's rules, or into the host's kernel. The decoder of group files
// refuses them with the place; that they are refused here as well means that no mistake there opens the door.
var waysOut = []string{
	"BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_RAW", "PERFMON",
	"SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO",
}

// unsafeCapabilities are those of waysOut that an operator may give the ambassador knowingly, which may leave anyway.
var unsafeCapabilities = []string{"NET_ADMIN", "NET_RAW"}

// createCapabilities gives root the container's set, and what its unsafe block names. Another user has no use for the default
// set and gets none of it; what the file names was named for that user, so it is ambient, the only way it survives the start
// of the program.
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

// checkCapabilities refuses ways out: all of them among the container's own, and all but two in an unsafe block, which none
// but the ambassador has.
func checkCapabilities(c spec.Container) error {
	for _, name := range c.Capabilities {
		if slices.Contains(waysOut, name) {
			return &shim.Problem{
				Err:  fmt.Errorf("container %q asks for the capability %s, which is a way around the group's rules", c.Name, name),
				Hint: "take it out of the container's capabilities",
			}
		}
	}
	for _, name := range c.Unsafe.Capabilities {
		if c.Role != spec.Ambassador || !slices.Contains(unsafeCapabilities, name) {
			return &shim.Problem{
				Err:  fmt.Errorf("container %q asks for %s as unsafe, which only the ambassador can, and only for %s", c.Name, name, strings.Join(unsafeCapabilities, " and ")),
				Hint: "take it out of the container's unsafe block",
			}
		}
	}
	return nil
}

// capabilitySet is sorted, and never nil.
func capabilitySet(names []string) []string {
	set := make([]string, 0, len(names))
	for _, name := range names {
		set = append(set, "CAP_"+name)
	}
	slices.Sort(set)
	return slices.Compact(set)
}
