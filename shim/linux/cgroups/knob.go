package cgroups

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// A knob is one file of a cgroup, with the value that it must have.
type knob struct {
	controller string
	file       string
	unlimited  string // the value without a limit
	limit      string // the value with one; empty: no limit is wanted
}

func (k knob) value() string {
	if k.limit == "" {
		return k.unlimited
	}
	return k.limit
}

// matches reports whether content, read from the file, is the wanted value.
func (k knob) matches(content string) bool {
	first, _, _ := strings.Cut(content, "\n") // the weights of single disks follow
	got := strings.TrimPrefix(first, "default ")
	if n, err := strconv.ParseInt(got, 10, 64); err == nil && n >= unlimitedV1 {
		got = "-1"
	}
	return got == k.value()
}

// unlimitedV1 is a memory limit of v1 that means no limit. The kernel shows the largest number of
// whole pages, which is above it.
const unlimitedV1 = 1 << 62

const cpuPeriod = 100_000 // µs; the kernel's own default

// knobsV2 returns the files of a v2 cgroup.
func knobsV2(r spec.Resources) []knob {
	k := []knob{
		{"cpu", "cpu.max", "max " + number(cpuPeriod), ""},
		{"memory", "memory.max", "max", wholePages(r.Memory)},
		{"memory", "memory.swap.max", "max", ""},
		{"pids", "pids.max", "max", nonZero(r.PIDs)},
		{"io", "io.weight", "100", nonZero(int64(r.IOWeight))},
	}
	if r.CPU != 0 {
		k[0].limit = quota(r.CPU) + " " + number(cpuPeriod)
	}
	if r.Swap != nil {
		k[2].limit = number(*r.Swap / page * page)
	}
	return k
}

// knobsV1 returns the files in the v1 hierarchies of a hybrid host.
func knobsV1(r spec.Resources) []knob {
	k := []knob{
		{"cpu", "cpu.cfs_period_us", number(cpuPeriod), ""},
		{"cpu", "cpu.cfs_quota_us", "-1", ""},
		{"memory", "memory.limit_in_bytes", "-1", wholePages(r.Memory)},
		{"memory", "memory.memsw.limit_in_bytes", "-1", ""},
		{"pids", "pids.max", "max", nonZero(r.PIDs)},
		{"blkio", "blkio.bfq.weight", "100", ""},
	}
	if r.CPU != 0 {
		k[1].limit = quota(r.CPU)
	}
	if r.Swap != nil {
		k[3].limit = wholePages(r.Memory + *r.Swap) // memsw limits the sum
	}
	if r.IOWeight != 0 {
		k[5].limit = number(int64(min(r.IOWeight, maxBFQWeight)))
	}
	return k
}

// maxBFQWeight is the largest weight that BFQ takes.
const maxBFQWeight = 1000

var page = int64(os.Getpagesize())

func number(n int64) string { return strconv.FormatInt(n, 10) }

// nonZero returns n as a limit. Zero means no limit.
func nonZero(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// wholePages returns a memory limit as the kernel rounds it: down to whole pages.
func wholePages(n int64) string { return nonZero(n / page * page) }

func quota(cpu float64) string { return number(int64(cpu * cpuPeriod)) }

// path returns the path of the knob's file in the cgroup, below the mount of its hierarchy.
func (k knob) path(mount, cgroup string) string { return filepath.Join(mount, cgroup, k.file) }
