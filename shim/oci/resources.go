package oci

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

const (
	cpuPeriod   = 100_000 // µs; the kernel's own default
	cpuMinQuota = 1_000   // µs; the kernel takes no less
)

// createResources sets the limits that are asked for, but for the weight: package cgroups sets it
// one level above the runtime's cgroup. A limit that this host can't set is a [hint.Error].
func createResources(c spec.Container, h HostFacts) (*specs.LinuxResources, error) {
	r := c.Resources
	res := &specs.LinuxResources{}
	if r.CPU > 0 {
		period, quota := uint64(cpuPeriod), max(cpuMinQuota, int64(r.CPU*cpuPeriod))
		res.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
	}
	if r.CPUSet != "" {
		if err := checkCPUs(c, h.CPUs); err != nil {
			return nil, err
		}
		if res.CPU == nil {
			res.CPU = &specs.LinuxCPU{}
		}
		res.CPU.Cpus = r.CPUSet
	}
	if r.Memory > 0 {
		res.Memory = &specs.LinuxMemory{Limit: &r.Memory}
	}
	if r.Memory > 0 && r.Swap != nil {
		if !h.SwapLimit {
			return nil, &hint.Error{
				Err:  fmt.Errorf("container %q: this host's kernel can't limit swap", c.Name),
				Hint: "boot with swapaccount=1, or take swap out of its resources",
			}
		}
		both := r.Memory + *r.Swap // the runtime's swap is memory and swap together
		res.Memory.Swap = &both
	}
	if r.PIDs > 0 {
		res.Pids = &specs.LinuxPids{Limit: &r.PIDs}
	}
	return res, nil
}

// checkCPUs returns a [hint.Error] for processors that the host does not have. An empty list means
// that they are unknown.
func checkCPUs(c spec.Container, host string) error {
	has, _ := spec.ParseCPUs(host)
	wants, _ := spec.ParseCPUs(c.Resources.CPUSet)
	for _, n := range wants {
		if len(has) > 0 && !slices.Contains(has, n) {
			return &hint.Error{
				Err:  fmt.Errorf("container %q is to run on processor %d, and this host has %s", c.Name, n, host),
				Hint: "correct cpuset in its resources",
			}
		}
	}
	return nil
}
