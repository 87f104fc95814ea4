package oci

import "github.com/opencontainers/runtime-spec/specs-go"

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
