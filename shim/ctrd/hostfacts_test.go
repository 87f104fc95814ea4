package ctrd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHostFacts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string // below /
		swap  bool
	}{
		{"nothing is mounted", nil, false},
		{"hybrid", map[string]string{"sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "", "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n"}, true},
		{"hybrid, no swap accounting", map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": ""}, false},
		{"unified", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", "proc/swaps": ""}, true},
		{"unified, a kernel that can't swap", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n"}, false},
		{"unified, memory not delegated", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpu io\n", "proc/swaps": ""}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for name, content := range tt.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m := hostMounts{root: root}
			if mount := filepath.Join(root, unifiedMount); strings.HasPrefix(tt.name, "hybrid") {
				m.memory = filepath.Join(mount, "memory")
			} else if strings.HasPrefix(tt.name, "unified") {
				m.unified = mount
			}
			if swap := m.swapLimit(); swap != tt.swap {
				t.Errorf("swap limit %v, want %v", swap, tt.swap)
			}
		})
	}
}

// What a process without CAP_SYS_RESOURCE starts can't have more than it. One with it is bounded by
// the kernel alone.
func TestHighestLimits(t *testing.T) {
	root := t.TempDir()
	pid := os.Getpid()
	write := func(path, content string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/sys/fs/nr_open", "1048576\n")
	status := fmt.Sprintf("proc/%d/status", pid)
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}

	write(status, "Name:\tx\nCapEff:\t000001ffffffffff\n")
	if got := highestLimits(root, pid); len(got) != 1 || got["nofile"] != 1048576 {
		t.Errorf("with the capability: %v, want the kernel's number of open files alone", got)
	}
	write(status, "Name:\tx\nCapEff:\t000001fffeffffff\n")
	if got := highestLimits(root, pid)["nofile"]; got != min(own.Max, 1048576) {
		t.Errorf("without it: %d open files, want the process's own %d", got, own.Max)
	}
}
