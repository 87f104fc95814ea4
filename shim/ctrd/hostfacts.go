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

// Where cgroups are mounted, as every distribution does and the runtimes expect.
const cgroupMount = "sys/fs/cgroup"

// swapLimit reports whether the memory controller of the host at root counts swap: in v1 its files are absent without, in v2
// it does wherever the kernel can swap.
func swapLimit(root string) bool {
	if exists(root, cgroupMount, "memory", "memory.memsw.limit_in_bytes") {
		return true
	}
	return slices.Contains(controllers(root), "memory") && exists(root, "proc/swaps")
}

// findIOWeight says how the host at root is told of a share of the disks. The files for it are in every cgroup but the topmost.
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

// controllers are those of a unified hierarchy, none where it is mounted beside v1's.
func controllers(root string) []string {
	b, _ := os.ReadFile(filepath.Join(root, cgroupMount, "cgroup.controllers"))
	return strings.Fields(string(b))
}

// exists says whether anything matches the pattern that the parts make.
func exists(parts ...string) bool {
	found, _ := filepath.Glob(filepath.Join(parts...))
	return len(found) > 0
}

// hasCapability reports whether this process, and so most likely containerd, has it in force.
func hasCapability(capability uint) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}
