package oci

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	cpuPeriod   = 100_000 // µs; the kernel's own default
	cpuMinQuota = 1_000   // µs; the kernel takes no less
)

// An IOWeight is a way to set a container's share of the disks. The empty one means that there is
// none.
type IOWeight string

const (
	BlkioWeight IOWeight = "blkio"         // in the v1 hierarchy, through the runtime's own word for it
	CostWeight  IOWeight = "io.weight"     // the file of v2
	BFQWeight   IOWeight = "io.bfq.weight" // the file of v2 where only the BFQ scheduler shares
)

// v1 and BFQ have a smaller range of weights than v2, around the same default of 100.
const (
	minBlkioWeight = 10
	maxBlkioWeight = 1000
)

// createResources sets the limits that are asked for. A limit that this host can't set is a
// [hint.Error].
func createResources(c spec.Container, h HostFacts) (*specs.LinuxResources, error) {
	r := c.Resources
	res := &specs.LinuxResources{}
	if r.CPU > 0 {
		period, quota := uint64(cpuPeriod), max(cpuMinQuota, int64(r.CPU*cpuPeriod))
		res.CPU = &specs.LinuxCPU{Period: &period, Quota: &quota}
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
	if r.IOWeight > 0 {
		if err := weigh(res, r.IOWeight, h.IOWeight); err != nil {
			return nil, &hint.Error{Err: fmt.Errorf("container %q: %w", c.Name, err), Hint: host.NoIOWeightHint}
		}
	}
	return res, nil
}

func weigh(res *specs.LinuxResources, weight uint16, how IOWeight) error {
	less := min(max(weight, minBlkioWeight), maxBlkioWeight)
	switch how {
	case BlkioWeight:
		res.BlockIO = &specs.LinuxBlockIO{Weight: &less}
	case BFQWeight:
		res.Unified = map[string]string{string(how): strconv.Itoa(int(less))}
	case CostWeight:
		res.Unified = map[string]string{string(how): strconv.Itoa(int(weight))}
	default:
		return host.ErrNoIOWeight
	}
	return nil
}
