package spec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// The range of the limits of a container or a group.
const (
	defaultPIDs = 512
	maxPIDs     = 1 << 22 // the kernel's own limit
	minMemory   = 6 * mebibyte
	maxMemory   = 1 << 50
	maxIOWeight = 10_000 // the kernel's own range of io.weight begins with 1
	minDisk     = mebibyte
	maxDisk     = 1 << 50
)

// The scheduler's smallest share of its 100 ms period is 1 ms.
const minCPU, maxCPU = 0.01, 4096

// resources reads a container's limits, with the defaults filled in.
func (d *groupDecoder) resources(container *hclsyntax.Block) Resources {
	res := d.limits(container)
	if res.PIDs == 0 {
		res.PIDs = defaultPIDs
	}
	if block := single(container, "resources"); block != nil {
		r := d.in(block)
		res.Disk, _ = r.size("disk", minDisk, maxDisk)
		res.CPUSet = r.cpuset()
	}
	return res
}

// limits reads the resources block of a container or of the group. Zero means no limit.
func (d *groupDecoder) limits(of *hclsyntax.Block) (res Resources) {
	block := single(of, "resources")
	if block == nil {
		return res
	}
	r := d.in(block)
	if cpu, at, ok := r.number("cpu", optional); ok {
		// The number has more digits than a float64, so it may be just below the same bound.
		if cores, _ := cpu.Float64(); cores < minCPU || cores > maxCPU {
			d.errorf(at, "Invalid cpu", "\"cpu\" is a number of cores from %g to %d, such as 0.5, and this is %s.", minCPU, maxCPU, cpu.Text('g', 10))
		} else {
			res.CPU = cores
		}
	}
	res.PIDs, _, _ = r.integer("pids", 1, maxPIDs, optional)
	res.Memory, _ = r.size("memory", minMemory, maxMemory)
	if swap, ok := r.size("swap", 0, maxMemory); ok {
		res.Swap = &swap
	}
	if r.has("swap") && !r.has("memory") {
		d.errorf(r.nameOf("swap"), "Swap without memory", "\"swap\" limits swap on top of the memory limit, and there is no memory limit here. Add one: memory = \"128MiB\".")
	}
	weight, _, _ := r.integer("io_weight", 1, maxIOWeight, optional)
	res.IOWeight = uint16(weight)
	return res
}

// checkResources reports a container with a higher limit than its whole group, and a limit that a
// group can't have.
func (d *groupDecoder) checkResources(g *Group, group *hclsyntax.Block) {
	whole := g.Resources
	if block := single(group, "resources"); block != nil {
		r := d.in(block)
		if r.has("cpuset") {
			d.errorf(r.nameOf("cpuset"), "Processors of a whole group", "\"cpuset\" chooses the processors of one container. Write it in the resources of each container.")
		}
		if r.has("disk") {
			d.errorf(r.nameOf("disk"), "Disk of a whole group", "\"disk\" bounds the root file system of one container. Write it in the resources of each container. For a persistent volume, write its size.")
		}
	}
	for i, b := range containersOf(group) {
		block := single(b, "resources")
		if block == nil {
			continue
		}
		r, own := d.in(block), g.Containers[i].Resources
		if own.Disk > 0 && g.Containers[i].ReadOnly {
			d.errorf(r.nameOf("disk"), "Disk of a read-only container", "A container with read_only = true writes nothing to its root file system. Remove \"disk\" or \"read_only\".")
		}
		beyond := func(name, of, most string) {
			if r.has(name) { // a default above the group's limit is no mistake
				d.errorf(r.body.Attributes[name].Expr.Range(), "More than the group has", "This container may have %s, and its whole group %s. Lower this one, or raise %q in the group's resources.", of, most, name)
			}
		}
		if whole.CPU > 0 && own.CPU > whole.CPU {
			beyond("cpu", fmt.Sprintf("%g cores", own.CPU), fmt.Sprintf("%g", whole.CPU))
		}
		if whole.Memory > 0 && own.Memory > whole.Memory {
			beyond("memory", exactSize(own.Memory), exactSize(whole.Memory))
		}
		if whole.PIDs > 0 && own.PIDs > whole.PIDs {
			beyond("pids", fmt.Sprintf("%d processes", own.PIDs), fmt.Sprintf("%d", whole.PIDs))
		}
	}
}
