package oci

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// infinite is RLIM_INFINITY.
const infinite = ^uint64(0)

// createRlimits returns the container's limits, none above what the host can give, and then the
// shared ones.
func createRlimits(c spec.Container, h HostFacts) (limits []specs.POSIXRlimit) {
	for _, l := range c.EffectiveUlimits() {
		most := h.most(l.Name)
		limits = append(limits, specs.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(l.Name), Soft: min(rlimit(l.Soft), most), Hard: min(rlimit(l.Hard), most),
		})
	}
	return append(limits, sharedLimits(h)...)
}

// Lowered returns a line for each limit that the container's file names and that this host can't
// give: "nofile is 20000, and the file has 65536".
func Lowered(c spec.Container, h HostFacts) (lines []string) {
	for _, l := range c.Ulimits {
		if most := h.most(l.Name); most < rlimit(l.Hard) {
			lines = append(lines, fmt.Sprintf("%s is %s, and the file has %s", l.Name, spec.UlimitText(l.Name, int64(most)), spec.UlimitText(l.Name, l.Hard)))
		}
	}
	return lines
}

// most returns the highest limit of that name that this host can give.
func (h HostFacts) most(name string) uint64 {
	if most, ok := h.Highest[name]; ok {
		return most
	}
	return infinite
}

func rlimit(value int64) uint64 {
	if value == spec.Unlimited {
		return infinite
	}
	return uint64(value)
}

// sharedLimits bound what the kernel counts for each user of the host, over all containers and the
// host's own processes: a container's root is the host's. A process may add to a count as long as
// the whole of it is below the process's own limit. So containers together leave a quarter of the
// host's limit to the host's own processes. A host without a limit gets none here.
func sharedLimits(h HostFacts) (limits []specs.POSIXRlimit) {
	for _, x := range []struct {
		name string
		host uint64
	}{{"RLIMIT_MSGQUEUE", h.QueueBytes}, {"RLIMIT_SIGPENDING", h.PendingSignals}} {
		if x.host != 0 {
			most := x.host - x.host/4
			limits = append(limits, specs.POSIXRlimit{Type: x.name, Soft: most, Hard: most})
		}
	}
	return limits
}
