package host

import "time"

// A CgroupUsage has the counts of a container's cgroup. A nil field means that the host
// doesn't count it, or that the container has no cgroup.
type CgroupUsage struct {
	CPU         *time.Duration // of one processor, since the cgroup was made; it outlives restarts
	Memory      *uint64        // bytes
	WorkingSet  *uint64        // bytes that the kernel can't take back at once
	MemoryLimit *uint64        // bytes; nil if there is none
	Threads     *uint64        // and processes
	// OOMKills counts processes that the kernel killed because memory ran out. In a v1 hierarchy
	// they are those since the container started.
	OOMKills *uint64
}
