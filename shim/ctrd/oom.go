package ctrd

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/shim"
)

// oomKilled says whether the kernel killed a process of a container for memory, that of the container or of its whole group. It
// is read from the container's cgroup, which is there until its task is deleted: what a daemon wasn't there to hear isn't lost.
func oomKilled(l shim.Layout, s shim.ContainerState) bool {
	m, cgroup := findMounts(), l.CgroupPath(s.Group, s.Role, s.Name)
	return m.unified != "" && kills(filepath.Join(m.unified, cgroup, "memory.events")) ||
		m.memory != "" && kills(filepath.Join(m.memory, cgroup, "memory.oom_control"))
}

// kills says whether a list of a memory controller's counters has kills in it. One that isn't there has none.
func kills(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok && n != "0" {
			return true
		}
	}
	return false
}
