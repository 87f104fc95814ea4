package spec

import (
	"math/big"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on what a container may be limited to.
const (
	defaultPIDs = 512
	maxPIDs     = 1 << 22 // the kernel's own limit
	minMemory   = 6 * mebibyte
	maxMemory   = 1 << 50
)

var minCPU, maxCPU = big.NewFloat(0.01), big.NewFloat(4096) // the scheduler's smallest share of its 100 ms period is 1 ms

// resources reads a container's limits, with the default where the file sets none.
func (d *groupDecoder) resources(container *hclsyntax.Block) Resources {
	res := Resources{PIDs: defaultPIDs}
	block := single(container, "resources")
	if block == nil {
		return res
	}
	r := d.in(block)
	if cpu, at, ok := r.number("cpu", optional); ok {
		if cpu.Cmp(minCPU) < 0 || cpu.Cmp(maxCPU) > 0 {
			d.errorf(at, "Invalid cpu", "\"cpu\" is a number of cores from %s to %s, such as 0.5, and this is %s.", minCPU.Text('g', 4), maxCPU.Text('g', 4), cpu.Text('g', 10))
		} else {
			res.CPU, _ = cpu.Float64()
		}
	}
	if pids, _, ok := r.integer("pids", 1, maxPIDs, optional); ok {
		res.PIDs = pids
	}
	res.Memory, _ = r.size("memory", minMemory, maxMemory)
	return res
}
