package oci

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// createMounts lists the kernel's filesystems, then volumes, tmpfs mounts and the group's output,
// then files, so that a file shows inside a folder. Within each of these the outer path comes
// first. own lists the sources on the host that the group made.
func createMounts(in Input) (mounts []specs.Mount, own []string, err error) {
	var folders []specs.Mount
	for _, t := range in.Container.Tmpfs {
		uid, gid, mode, err := t.Ownership()
		if err != nil {
			return nil, nil, fmt.Errorf("container %q: %w", in.Container.Name, err)
		}
		under := in.Modes.Folder(mode)
		own = append(own, under)
		folders = append(folders, bind(under, t.Path, "ro"), createTmpfs(t, uid, gid, mode))
	}
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
		mount := bind(source, m.Path, access)
		if m.Path == spec.SharedMemory {
			mount.Options = append(mount.Options, "noexec") // as the container's own
		}
		folders = append(folders, mount)
	}
	if path := in.Container.OutputOf; path != "" {
		if in.Output == "" {
			return nil, nil, fmt.Errorf("container %q is given its group's output, and there is none", in.Container.Name)
		}
		own = append(own, in.Output)
		folders = append(folders, outputMount(in.Output, path))
	}
	if len(in.Container.Secrets) > 0 {
		if in.Secrets == "" {
			return nil, nil, fmt.Errorf("container %q is given secrets, and there are none", in.Container.Name)
		}
		own = append(own, in.Secrets)
		folders = append(folders, secretsMount(in.Secrets))
	}
	var files []specs.Mount
	if in.Container.Init {
		if in.Init.Source == "" {
			return nil, nil, fmt.Errorf("container %q has an init, and there is none", in.Container.Name)
		}
		own = append(own, in.Init.Source)
		files = append(files, bind(in.Init.Source, in.Init.Path, "ro"))
	}
	for _, f := range in.Files {
		own = append(own, f.Source)
		files = append(files, bind(f.Source, f.Path, "ro"))
	}
	files = append(files, in.CDI.Mounts...)
	byPath := func(a, b specs.Mount) int { return cmp.Compare(a.Destination, b.Destination) }
	slices.SortStableFunc(folders, byPath)
	slices.SortStableFunc(files, byPath)
	return slices.Concat(kernelMounts(in.Container), folders, files), own, nil
}

// kernelMounts returns the systemMounts with the container's shared memory. A volume may take its
// place.
func kernelMounts(c spec.Container) []specs.Mount {
	mounts := slices.Clone(systemMounts)
	at := slices.IndexFunc(mounts, func(m specs.Mount) bool { return m.Destination == spec.SharedMemory })
	if c.SharesMemory() {
		return slices.Delete(mounts, at, at+1)
	}
	if c.ShmSize != 0 {
		mounts[at].Options = []string{"nosuid", "noexec", "nodev", "mode=1777", fmt.Sprintf("size=%d", c.ShmSize)}
	}
	return mounts
}

func bind(source, destination, access string) specs.Mount {
	return specs.Mount{Destination: destination, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", "nosuid", "nodev", access}}
}

// createTmpfs has docker's options: no devices, no setuid, and no programs unless the file wants
// them. Before version 1.2 runc gives a tmpfs the mode of the folder that it covers, and
// ignores the option. So each one covers an empty folder that has its mode.
func createTmpfs(t spec.Tmpfs, uid, gid int, mode uint32) specs.Mount {
	options := []string{"nosuid", "nodev"}
	if !t.Exec {
		options = append(options, "noexec")
	}
	options = append(options, fmt.Sprintf("size=%d", t.Size), fmt.Sprintf("mode=%o", mode), fmt.Sprintf("uid=%d", uid), fmt.Sprintf("gid=%d", gid))
	return specs.Mount{Destination: t.Path, Type: "tmpfs", Source: "tmpfs", Options: options}
}

// Modes is a folder of the host that has an empty folder of each mode of a container's tmpfs.
type Modes string

// Folder returns the place of the folder with that mode.
func (m Modes) Folder(mode uint32) string { return path.Join(string(m), fmt.Sprintf("%04o", mode)) }

// outputMount shows a container the folder with its group's output, and nothing that is mounted
// inside it. No container can remount it: that takes CAP_SYS_ADMIN, which none can be given.
func outputMount(source, path string) specs.Mount {
	return specs.Mount{Destination: path, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "nosuid", "nodev", "noexec", "ro"}}
}

// secretsMount shows a container its secrets, which the daemon alone changes.
func secretsMount(source string) specs.Mount {
	return specs.Mount{Destination: spec.SecretsPath, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "nosuid", "nodev", "noexec", "ro"}}
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
