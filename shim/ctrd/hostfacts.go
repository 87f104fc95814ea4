package ctrd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/oci"
)

// lookAtHost finds out what this host can do. A module that is loaded later changes it.
func lookAtHost() oci.HostFacts {
	return oci.HostFacts{
		SwapLimit: swapLimit("/"),
		IOWeight:  findIOWeight("/"),
		ResetOOM:  hasCapability(unix.CAP_SYS_RESOURCE),
	}
}

// cgroupMount is where every distribution mounts cgroups, and where the runtimes expect them.
const cgroupMount = "sys/fs/cgroup"

// swapLimit reports whether the memory controller of the host at root counts swap. In v1 the files
// for it are absent if it doesn't. In v2 it does if the kernel can swap.
func swapLimit(root string) bool {
	if exists(root, cgroupMount, "memory", "memory.memsw.limit_in_bytes") {
		return true
	}
	return slices.Contains(controllers(root), "memory") && exists(root, "proc/swaps")
}

// findIOWeight returns how a share of the disks is set on the host at root. Every cgroup but the
// topmost has the files for it.
func findIOWeight(root string) oci.IOWeight {
	switch {
	case exists(root, cgroupMount, "blkio", "blkio.bfq.io_service_bytes"), exists(root, cgroupMount, "blkio", "*", "blkio.weight"):
		return oci.BlkioWeight
	case !slices.Contains(controllers(root), "io"):
		return ""
	case exists(root, cgroupMount, "io.cost.qos"):
		return oci.CostWeight
	case exists(root, cgroupMount, "*", string(oci.BFQWeight)), exists(root, "sys/module/bfq"):
		return oci.BFQWeight
	}
	return ""
}

// controllers returns those of a unified hierarchy. It returns none if that is mounted beside v1's.
func controllers(root string) []string {
	b, _ := os.ReadFile(filepath.Join(root, cgroupMount, "cgroup.controllers"))
	return strings.Fields(string(b))
}

// exists reports whether a file matches the pattern that the parts make.
func exists(parts ...string) bool {
	found, _ := filepath.Glob(filepath.Join(parts...))
	return len(found) > 0
}

// hasCapability reports whether the capability is effective in this process, and so most likely in
// containerd.
func hasCapability(capability uint) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
