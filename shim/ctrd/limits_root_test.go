package ctrd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/spec"
)

// limitFiles are the files in which a container finds its limits, on a unified host and on a hybrid
// one.
const limitFiles = "memory.max memory/memory.limit_in_bytes memory.swap.max memory/memory.memsw.limit_in_bytes pids.max pids/pids.max " +
	"cpu.max cpu/cpu.cfs_quota_us"

// ulimitLine prints a process's limits: open files, soft and hard, core files and locked memory.
// The last two are in blocks of 512 bytes and in KiB.
const ulimitLine = "echo ulimits $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c) $(ulimit -l); "

func TestRootLimits(t *testing.T) {
	archive := busyboxArchive(t)
	swap, none := int64(16<<20), int64(0)
	eachServer(t, func(t *testing.T, c *Client) {
		line := "cd /sys/fs/cgroup; for f in " + limitFiles + "; do test -f $f && echo $f $(cat $f); done; exit 0"
		all, noSwap := script("all", spec.App, line), script("noswap", spec.App, line)
		all.Resources = spec.Resources{CPU: 0.5, Memory: 64 << 20, Swap: &swap, PIDs: 17}
		all.Command[2] = ulimitLine + "echo $TZ $(date +%z -d @0) $(id -G) $(grep Cpus_allowed_list /proc/self/status) $(df /dev/shm | tail -n 1) $(cat /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max); " + all.Command[2]
		all.Timezone, all.Groups, all.Resources.CPUSet, all.ShmSize = "Asia/Kathmandu", []string{"2000"}, "0", 3<<20
		all.Sysctls = map[string]string{"kernel.shmmax": "3145728", "fs.mqueue.msg_max": "20"}
		all.Ulimits = []spec.Ulimit{{Name: "core", Soft: 1 << 20, Hard: 1 << 20}, {Name: "nofile", Soft: 4096, Hard: 1 << 30}}
		noSwap.Command[2] = ulimitLine + noSwap.Command[2]
		noSwap.Resources = spec.Resources{Memory: 64 << 20, Swap: &none}
		r := newHarness(t, c, archive, all, noSwap)
		highest := c.limitsOf(c.shimGroup("g"))["nofile"]
		r.run()
		for name, want := range map[string][][]string{
			"all": {
				{"memory.max 67108864", "memory/memory.limit_in_bytes 67108864"},
				{"memory.swap.max 16777216", "memory/memory.memsw.limit_in_bytes 83886080"},
				{"pids.max 17", "pids/pids.max 17"},
				{"cpu.max 50000 100000", "cpu/cpu.cfs_quota_us 50000"},
				{"Asia/Kathmandu +0530 0 2000 Cpus_allowed_list: 0 shm 3072 0 3072 0% /dev/shm 3145728 20"},
				{fmt.Sprintf("ulimits 4096 %d 2048 8192", highest)},
			},
			"noswap": {
				{"memory.swap.max 0", "memory/memory.memsw.limit_in_bytes 67108864"},
				{fmt.Sprintf("ulimits 1024 %d 0 8192", min(highest, 524288))},
			},
		} {
			out, _ := r.ended(name)
			lines := strings.Split(out, "\n")
			for _, either := range want {
				if !slices.ContainsFunc(either, func(l string) bool { return slices.Contains(lines, l) }) {
					t.Errorf("%s: none of %q is among\n%s", name, either, out)
				}
			}
		}
		want := fmt.Sprintf("nofile is %d, and the file has 1073741824", highest)
		if got := r.state("all").Lowered; got != want {
			t.Errorf("lowered is %q, want %q", got, want)
		}
		if got := r.state("noswap").Lowered; got != "" {
			t.Errorf("the defaults are not the file's, and are shown as lowered: %q", got)
		}
	})
}

func TestRootOOMKillIsSeen(t *testing.T) {
	archive := busyboxArchive(t)
	none := int64(0)
	eachServer(t, func(t *testing.T, c *Client) {
		hog := script("hog", spec.App, "x=a; while :; do x=$x$x; done")
		failed := script("failed", spec.App, "exit 137")
		hog.Resources = spec.Resources{Memory: 8 << 20, Swap: &none}
		failed.Resources = hog.Resources
		r := newHarness(t, c, archive, hog, failed)
		r.run()
		if _, s := r.ended("hog"); !s.OOMKilled || s.ExitStatus != 137 {
			t.Errorf("killed for memory: %v, status %d", s.OOMKilled, s.ExitStatus)
		}
		if _, s := r.ended("failed"); s.OOMKilled || s.ExitStatus != 137 {
			t.Errorf("one that ended by itself was killed for memory: %v, status %d", s.OOMKilled, s.ExitStatus)
		}

		// The cgroup of the container stays, and has counted the kill of the first start.
		r.group.Container("hog").Command = failed.Command
		if err := c.Remove(t.Context(), "g", "hog"); err != nil {
			t.Fatal(err)
		}
		if err := c.Create(t.Context(), r.request("hog")); err != nil {
			t.Fatal(err)
		}
		r.start("hog")
		if _, s := r.ended("hog"); s.OOMKilled || s.ExitStatus != 137 {
			t.Errorf("its next start ended by itself, and was killed for memory: %v, status %d", s.OOMKilled, s.ExitStatus)
		}
	})
}
