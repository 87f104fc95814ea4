package ctrd

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

// oomKilled reports whether the kernel killed a process of a container because memory ran out, its
// own or its whole group's. It reads the container's cgroup, which exists until the task is
// deleted. So a kill is found even if no daemon was running at the time.
func oomKilled(l layout.Layout, s host.ContainerState) bool {
	m, cgroup := findMounts(), l.CgroupPath(s.Group, s.Role, s.Name)
	return m.unified != "" && kills(filepath.Join(m.unified, cgroup, "memory.events")) ||
		m.memory != "" && kills(filepath.Join(m.memory, cgroup, "memory.oom_control"))
}

// kills reports whether a list of a memory controller's counters has kills in it. A list that is
// absent has none.
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
