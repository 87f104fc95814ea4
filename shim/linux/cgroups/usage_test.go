package cgroups

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

func value[T any](v T) *T { return &v }

// The files are those of kernel 6.18, shortened.
func TestUsage(t *testing.T) {
	const (
		web   = "/s/shop/members/web/"
		stat2 = "anon 4096\nfile 8192\nkernel 1\ninactive_anon 4096\nactive_anon 0\ninactive_file 3000\nactive_file 2\n"
		stat1 = "cache 8192\nrss 4096\ninactive_file 1\nhierarchical_memory_limit 67108864\ntotal_cache 8192\ntotal_inactive_file 3000\n"
	)
	for _, tt := range []struct {
		name  string
		v1    bool
		files map[string]string
		want  host.CgroupUsage
	}{
		{name: "nothing"},
		{name: "v2", files: map[string]string{
			"v2" + web + "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n", "v2" + web + "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 0\n",
			"v2" + web + "memory.current": "99999\n", "v2" + web + "leaf/cpu.stat": "usage_usec 1\n", "v2" + web + "leaf/memory.current": "10000\n",
			"v2" + web + "leaf/memory.stat": stat2, "v2" + web + "leaf/memory.max": "67108864\n", "v2" + web + "leaf/memory.events": "oom_kill 1\n", "v2" + web + "leaf/pids.current": "5\n",
		}, want: host.CgroupUsage{CPU: value(2500 * time.Millisecond), Memory: value(uint64(10000)), WorkingSet: value(uint64(7000)),
			MemoryLimit: value(uint64(64 << 20)), Threads: value(uint64(5)), OOMKills: value(uint64(2))}},
		{name: "v2, without a limit and a controller", files: map[string]string{
			"v2" + web + "cpu.stat": "usage_usec 1\n", "v2" + web + "leaf/memory.max": "max\n", "v2" + web + "leaf/memory.current": "10\n", "v2" + web + "leaf/memory.stat": stat2,
		}, want: host.CgroupUsage{CPU: value(time.Microsecond), Memory: value(uint64(10)), WorkingSet: value(uint64(0))}},
		{name: "v2, of an older daemon", files: map[string]string{
			"v2" + web + "memory.current": "10000\n", "v2" + web + "pids.current": "2\n", "v2" + web + "memory.max": "20000\n",
		}, want: host.CgroupUsage{Memory: value(uint64(10000)), MemoryLimit: value(uint64(20000)), Threads: value(uint64(2))}},
		{name: "hybrid", v1: true, files: map[string]string{
			"cpuacct" + web + "cpuacct.usage": "2500000000\n", "memory" + web + "leaf/memory.usage_in_bytes": "10000\n", "memory" + web + "leaf/memory.stat": stat1,
			"memory" + web + "leaf/memory.limit_in_bytes": "67108864\n", "memory" + web + "leaf/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
			"pids" + web + "leaf/pids.current": "5\n", "v2" + web + "cpu.stat": "usage_usec 1\n",
		}, want: host.CgroupUsage{CPU: value(2500 * time.Millisecond), Memory: value(uint64(10000)), WorkingSet: value(uint64(7000)),
			MemoryLimit: value(uint64(64 << 20)), Threads: value(uint64(5)), OOMKills: value(uint64(3))}},
		{name: "hybrid, without a limit", v1: true, files: map[string]string{"memory" + web + "leaf/memory.limit_in_bytes": "9223372036854771712\n"}},
		{name: "no numbers", files: map[string]string{"v2" + web + "cpu.stat": "usage_usec\n", "v2" + web + "leaf/memory.current": "-1\n", "v2" + web + "leaf/pids.current": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(base, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c := &Cgroups{layout: layout.Layout{CgroupRoot: "/s"}, v2: filepath.Join(base, "v2")}
			if tt.v1 {
				c.v1 = map[string]string{}
				for _, controller := range []string{"cpuacct", "memory", "pids"} {
					c.v1[controller] = filepath.Join(base, controller)
				}
			}
			if diff := cmp.Diff(tt.want, c.Usage("shop", spec.App, "web")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
