package ctrd

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// lookAtHost finds out once what this host can do.
var lookAtHost = sync.OnceValue(func() hostFacts {
	return hostFacts{
		SwapLimit: swapLimit("/sys/fs/cgroup"),
		ResetOOM:  hasCapability(unix.CAP_SYS_RESOURCE),
	}
})

// swapLimit reports whether the memory controller below that mount counts swap: its files are absent without. The root of
// the unified hierarchy never has them, its children do.
func swapLimit(cgroups string) bool {
	if _, err := os.Stat(filepath.Join(cgroups, "memory", "memory.memsw.limit_in_bytes")); err == nil {
		return true
	}
	found, _ := filepath.Glob(filepath.Join(cgroups, "*", "memory.swap.max"))
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
