package ctrd

import (
	"fmt"
	"slices"

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

// createCapabilities gives root the container's set. Another user has no use for the default set and gets none of it; a
// set the file names was named for that user, so it is ambient, the only way it survives the start of the program.
func createCapabilities(c spec.Container, otherUser bool) (*specs.LinuxCapabilities, error) {
	names := c.Capabilities
	if names == nil {
		names = spec.DefaultCapabilities
	}
	set := make([]string, 0, len(names))
	for _, name := range names {
		if slices.Contains(waysOut, name) {
			return nil, &shim.Problem{
				Err:  fmt.Errorf("container %q asks for the capability %s, which is a way around the group's rules", c.Name, name),
				Hint: "take it out of the container's capabilities",
			}
		}
		set = append(set, "CAP_"+name)
	}
	slices.Sort(set)
	caps := &specs.LinuxCapabilities{Bounding: set}
	switch {
	case !otherUser:
		caps.Permitted, caps.Effective = set, set
	case c.Capabilities != nil:
		caps.Permitted, caps.Effective, caps.Inheritable, caps.Ambient = set, set, set, set
	}
	return caps, nil
}
