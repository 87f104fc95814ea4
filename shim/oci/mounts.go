package oci

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// createMounts lists the kernel's filesystems, then volumes, then files, so that a file shows
// inside a volume. Within each of these the outer path comes first. own lists the
// sources on the host that the group made.
func createMounts(in Input) (mounts []specs.Mount, own []string, err error) {
	var volumes []specs.Mount
	for _, m := range in.Container.Mounts {
		source, ok := in.Volumes[m.Volume]
		if !ok {
			return nil, nil, fmt.Errorf("container %q mounts volume %q, which its group doesn't have", in.Container.Name, m.Volume)
		}
		access := "rw"
		if m.ReadOnly {
			access = "ro"
		}
		own = append(own, source)
		volumes = append(volumes, bind(source, m.Path, access))
	}
	var files []specs.Mount
	for _, f := range in.Files {
		own = append(own, f.Source)
		files = append(files, bind(f.Source, f.Path, "ro"))
	}
	byPath := func(a, b specs.Mount) int { return cmp.Compare(a.Destination, b.Destination) }
	slices.SortStableFunc(volumes, byPath)
	slices.SortStableFunc(files, byPath)
	return slices.Concat(systemMounts, volumes, files), own, nil
}

func bind(source, path, access string) specs.Mount {
	return specs.Mount{Destination: path, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", "nosuid", "nodev", access}}
}

// systemMounts are the kernel's filesystems. The cgroup is among them because language runtimes
// size their heaps and threads by it.
var systemMounts = []specs.Mount{
	{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
	{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
	{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
}
