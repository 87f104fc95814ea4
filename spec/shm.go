package spec

import "github.com/hashicorp/hcl/v2/hclsyntax"

// SharedMemory is where a container has its POSIX shared memory. It is the one place below /dev at
// which a volume can be mounted.
const SharedMemory = "/dev/shm"

// DefaultSharedMemory is how much a container's /dev/shm can hold, in bytes.
const DefaultSharedMemory = 64 * mebibyte

// shmSize reads how much the container's own shared memory can hold. Zero means the default.
func (d *groupDecoder) shmSize(r reader) int64 {
	size, ok := r.size("shm_size", minVolumeSize, maxVolumeSize)
	if !ok || size == DefaultSharedMemory {
		return 0
	}
	return size
}

// SharedMemorySize returns how much the container's own shared memory can hold, in bytes.
func (c Container) SharedMemorySize() int64 {
	if c.ShmSize == 0 {
		return DefaultSharedMemory
	}
	return c.ShmSize
}

// SharesMemory reports whether a volume takes the place of the container's own shared memory.
func (c Container) SharesMemory() bool {
	for _, m := range c.Mounts {
		if m.Path == SharedMemory {
			return true
		}
	}
	return false
}

// checkSharedMemory reports a size of shared memory that has no effect, or that is more than the
// memory of the container or its group.
func (d *groupDecoder) checkSharedMemory(g *Group, group *hclsyntax.Block) {
	for i, b := range containersOf(group) {
		r, c := d.in(b), g.Containers[i]
		if !r.has("shm_size") {
			continue
		}
		at := r.body.Attributes["shm_size"]
		if c.SharesMemory() {
			d.errorf(at.NameRange, "Two sizes of shared memory", "A volume is mounted at %s, and has its own size. Remove \"shm_size\", and write the size in the volume's block.", SharedMemory)
			continue
		}
		d.checkMemorySize("/dev/shm", c.ShmSize, c.Resources.Memory, g.Resources.Memory, at.Expr.Range())
	}
}
