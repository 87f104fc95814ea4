package ctrd

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/shim/oci"
)

// lookAtHost finds out what this host can do. A module that is loaded later changes it.
func lookAtHost() oci.HostFacts {
	m := findMounts()
	return oci.HostFacts{
		SwapLimit: m.swapLimit(),
		ResetOOM:  hasCapability(unix.CAP_SYS_RESOURCE),

		PendingSignals: hostLimit(unix.RLIMIT_SIGPENDING),
		QueueBytes:     hostLimit(unix.RLIMIT_MSGQUEUE),

		CPUs: onlineCPUs(),
	}
}

// onlineCPUs returns the host's processors as a list, or "" if it can't be read.
func onlineCPUs() string {
	b, _ := os.ReadFile("/sys/devices/system/cpu/online")
	return strings.TrimSpace(string(b))
}

// hostLimit returns the limit on a resource that processes of the host have: that of the first
// process or, if it is lower, our own. Without CAP_SYS_RESOURCE none above ours can be set. Zero
// means that there is none.
func hostLimit(resource int) uint64 {
	least := uint64(unix.RLIM_INFINITY)
	for _, pid := range []int{0, 1} {
		var l unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &l); err == nil {
			least = min(least, l.Cur)
		}
	}
	if least == unix.RLIM_INFINITY {
		return 0
	}
	return least
}

// rlimitNumbers are the kernel's numbers for the names of [spec.UlimitNames].
var rlimitNumbers = map[string]int{
	"core": unix.RLIMIT_CORE, "fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "stack": unix.RLIMIT_STACK,
}

// highestLimits returns the hard limits that processes started by each of these can't raise, the
// lowest of each. With CAP_SYS_RESOURCE only the kernel bounds them, and only the number of open
// files. A process that has ended has none.
func highestLimits(root string, pids ...int) map[string]uint64 {
	highest := map[string]uint64{}
	if b, err := os.ReadFile(filepath.Join(root, "proc/sys/fs/nr_open")); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil {
			highest["nofile"] = n
		}
	}
	for _, pid := range pids {
		if mayRaise(filepath.Join(root, "proc", strconv.Itoa(pid), "status")) {
			continue
		}
		for name, number := range rlimitNumbers {
			var l unix.Rlimit
			if err := unix.Prlimit(pid, number, nil, &l); err != nil || l.Max == unix.RLIM_INFINITY {
				continue
			}
			if was, ok := highest[name]; !ok || l.Max < was {
				highest[name] = l.Max
			}
		}
	}
	return highest
}

// mayRaise reports whether the process with this status has CAP_SYS_RESOURCE in force.
func mayRaise(status string) bool {
	b, _ := os.ReadFile(status)
	for line := range strings.Lines(string(b)) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && caps&(1<<unix.CAP_SYS_RESOURCE) != 0
		}
	}
	return false
}

// limitsOf returns what the runtime of a group's containers can't exceed: what containerd has, and
// the group's shim, which may be older.
func (c *Client) limitsOf(shimGroup string) map[string]uint64 {
	pid := listenerOf(c.cfg.Address)
	if pid == 0 { // it is being restarted, and most likely has what we have
		pid = os.Getpid()
	}
	pids := []int{pid}
	if c.shimListens(shimGroup) && !mayRaise(filepath.Join("/proc", strconv.Itoa(pid), "status")) {
		if shim := c.shimPID(shimGroup); shim != 0 {
			pids = append(pids, shim)
		}
	}
	return highestLimits("/", pids...)
}

// hostMounts are the directories that the facts are read from.
type hostMounts struct {
	root    string // of /proc and /sys
	memory  string // where v1 has this controller; empty where it does not
	unified string // where v2 is mounted, if the runtimes use it; see [unifiedMount]
}

// unifiedMount is where the runtimes look for v2. On a hybrid host v2 is mounted elsewhere, and
// they use v1 alone.
const unifiedMount = "/sys/fs/cgroup"

// findMounts finds the directories on this host, once: they are mounted as long as anything runs,
// and each container adds lines to the list of mounts. An error means that the host has none of the
// abilities.
var findMounts = sync.OnceValue(func() hostMounts {
	h, _ := cgroup.FindHierarchies()
	m := hostMounts{root: "/", memory: h.Controllers["memory"]}
	if slices.Contains(h.V2Mounts, unifiedMount) {
		m.unified = unifiedMount
	}
	return m
})

// swapLimit reports whether the memory controller counts swap. Without that ability v1 lacks the
// files; v2 has it wherever the kernel can swap.
func (m hostMounts) swapLimit() bool {
	if exists(m.memory, "memory.memsw.limit_in_bytes") {
		return true
	}
	return slices.Contains(m.controllers(), "memory") && exists(m.root, "proc/swaps")
}

// controllers are those of a unified hierarchy.
func (m hostMounts) controllers() []string {
	if m.unified == "" {
		return nil
	}
	b, _ := os.ReadFile(filepath.Join(m.unified, "cgroup.controllers"))
	return strings.Fields(string(b))
}

// exists reports whether anything below the directory matches the pattern that the parts make. An
// empty directory has nothing.
func exists(dir string, parts ...string) bool {
	if dir == "" {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(dir, filepath.Join(parts...)))
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
