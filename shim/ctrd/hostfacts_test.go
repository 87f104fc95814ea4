package ctrd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/oci"
)

func TestHostFacts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string // below /
		swap   bool
		weight oci.IOWeight
	}{
		{"nothing is mounted", nil, false, ""},
		{"hybrid, all of it", map[string]string{
			"sys/fs/cgroup/memory/memory.memsw.limit_in_bytes": "", "sys/fs/cgroup/blkio/blkio.bfq.io_service_bytes": "", "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb\n",
		}, true, oci.BlkioWeight},
		{"hybrid, old scheduler, no swap accounting", map[string]string{
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "", "sys/fs/cgroup/blkio/system.slice/blkio.weight": "",
		}, false, oci.BlkioWeight},
		{"hybrid, no scheduler that weighs", map[string]string{"sys/fs/cgroup/blkio/blkio.throttle.read_bps_device": ""}, false, ""},
		{"unified, costs", map[string]string{
			"sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n", "sys/fs/cgroup/io.cost.qos": "", "proc/swaps": "",
		}, true, oci.CostWeight},
		{"unified, BFQ used before", map[string]string{
			"sys/fs/cgroup/cgroup.controllers": "cpu io memory pids\n", "sys/fs/cgroup/system.slice/io.bfq.weight": "",
		}, false, oci.BFQWeight},
		{"unified, BFQ loaded", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpu io\n", "sys/module/bfq/refcnt": "", "proc/swaps": ""}, false, oci.BFQWeight},
		{"unified, io not delegated", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n", "sys/fs/cgroup/io.cost.qos": ""}, false, ""},
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
				m.memory, m.blkio = filepath.Join(mount, "memory"), filepath.Join(mount, "blkio")
			} else if strings.HasPrefix(tt.name, "unified") {
				m.unified = mount
			}
			if swap, weight := m.swapLimit(), m.ioWeight(); swap != tt.swap || weight != tt.weight {
				t.Errorf("swap limit %v, weight %q; want %v, %q", swap, weight, tt.swap, tt.weight)
			}
		})
	}
}
