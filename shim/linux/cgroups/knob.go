package cgroups

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// A knob is a file of a cgroup, and what is to be in it.
type knob struct {
	controller string
	file       string
	free       string // without a bound
	bound      string // empty: without
}

func (k knob) want() string {
	if k.bound == "" {
		return k.free
	}
	return k.bound
}

// holds says whether what was read from the file is what is to be in it.
func (k knob) holds(content string) bool {
	first, _, _ := strings.Cut(content, "\n") // of weights, those of single disks follow
	got := strings.TrimPrefix(first, "default ")
	if n, err := strconv.ParseInt(got, 10, 64); err == nil && n >= endless {
		got = "-1"
	}
	return got == k.want()
}

// endless is where v1's memory begins to have no bound: the largest number of whole pages.
const endless = 1 << 62

const cpuPeriod = 100_000 // µs; the kernel's own default

// knobsV2 are the files of a v2 cgroup.
func knobsV2(r spec.Resources) []knob {
	k := []knob{
		{"cpu", "cpu.max", "max " + number(cpuPeriod), ""},
		{"memory", "memory.max", "max", pages(r.Memory)},
		{"memory", "memory.swap.max", "max", ""},
		{"pids", "pids.max", "max", atLeastOne(r.PIDs)},
		{"io", "io.weight", "100", atLeastOne(int64(r.IOWeight))},
	}
	if r.CPU != 0 {
		k[0].bound = quota(r.CPU) + " " + number(cpuPeriod)
	}
	if r.Swap != nil {
		k[2].bound = number(*r.Swap / page * page)
	}
	return k
}

// knobsV1 are the files in the v1 hierarchies of a hybrid host.
func knobsV1(r spec.Resources) []knob {
	k := []knob{
		{"cpu", "cpu.cfs_period_us", number(cpuPeriod), ""},
		{"cpu", "cpu.cfs_quota_us", "-1", ""},
		{"memory", "memory.limit_in_bytes", "-1", pages(r.Memory)},
		{"memory", "memory.memsw.limit_in_bytes", "-1", ""},
		{"pids", "pids.max", "max", atLeastOne(r.PIDs)},
		{"blkio", "blkio.bfq.weight", "100", ""},
	}
	if r.CPU != 0 {
		k[1].bound = quota(r.CPU)
	}
	if r.Swap != nil {
		k[3].bound = pages(r.Memory + *r.Swap) // of both together
	}
	if r.IOWeight != 0 {
		k[5].bound = number(int64(min(r.IOWeight, maxBFQWeight)))
	}
	return k
}

// maxBFQWeight is the most that BFQ knows.
const maxBFQWeight = 1000

var page = int64(os.Getpagesize())

func number(n int64) string { return strconv.FormatInt(n, 10) }

// atLeastOne is a bound that is not 0; that is none.
func atLeastOne(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// pages is a bound of memory as the kernel rounds it.
func pages(n int64) string { return atLeastOne(n / page * page) }

func quota(cpu float64) string { return number(int64(cpu * cpuPeriod)) }

// at is the knob's file in the cgroup, below the mount of its hierarchy.
func (k knob) at(mount, cgroup string) string { return filepath.Join(mount, cgroup, k.file) }
