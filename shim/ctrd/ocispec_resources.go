package ctrd

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

const (
	cpuPeriod   = 100_000 // µs; the kernel's own default
	cpuMinQuota = 1_000   // µs; the kernel takes no less
)

// createResources denies every device, to which the runtime adds the harmless ones (null, zero, full, random, urandom,
// tty and pseudo-terminals), and sets the limits that are asked for.
func createResources(r spec.Resources, host hostFacts) *specs.LinuxResources {
	res := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	if r.CPU > 0 {
		period, quota := uint64(cpuPeriod), max(cpuMinQuota, int64(r.CPU*cpuPeriod))
		res.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
	}
	if r.Memory > 0 {
		res.Memory = &specs.LinuxMemory{Limit: &r.Memory}
		if host.SwapLimit {
			res.Memory.Swap = &r.Memory // of memory and swap together: none is swapped
		}
	}
	if r.PIDs > 0 {
		res.Pids = &specs.LinuxPids{Limit: &r.PIDs}
	}
	return res
}
