package ctrd

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
)

// oomKilled reports whether the kernel killed a process of a container because memory ran out, its
// own or its whole group's. It reads the cgroup that the runtime made, which exists until the task
// is deleted. So a kill is found even if no daemon was running at the time. The cgroup above it
// stays, and counts the kills of earlier starts as well.
func oomKilled(record containers.Container) bool {
	cgroup := cgroupPath(record)
	if cgroup == "" {
		return false
	}
	m := findMounts()
	return m.unified != "" && kills(filepath.Join(m.unified, cgroup, "memory.events")) ||
		m.memory != "" && kills(filepath.Join(m.memory, cgroup, "memory.oom_control"))
}

// cgroupPath returns the cgroup that a container's record asks the runtime for. An older daemon put
// containers into another one than [layout.Layout.CgroupPath]. It is empty if the record has none.
func cgroupPath(record containers.Container) string {
	var s struct {
		Linux struct {
			CgroupsPath string `json:"cgroupsPath"`
		} `json:"linux"`
	}
	if record.Spec == nil || json.Unmarshal(record.Spec.GetValue(), &s) != nil {
		return ""
	}
	return s.Linux.CgroupsPath
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
