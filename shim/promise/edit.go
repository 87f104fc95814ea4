package promise

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// A Policy is the place of one container in its group, and what the group gives to it.
type Policy struct {
	Netns  string   // required: path of the group's network namespace
	Cgroup string   // required: path of the container's cgroup, from the root of the hierarchy
	Unsafe []string // optional: capabilities that the operator gave up knowingly, without CAP_
	Own    []string // optional: sources of bind mounts that the group made itself, by their exact path

	Devices []Device // optional: all devices that the container can open, beside those of every container
	Leaves  bool     // the container exchanges packets with the world by itself
}

// Edit takes away from s what no container of a group has, and puts the container where the policy
// says. If s has [Refusals], the error is of type [Refused], and s stays as it was. A second call
// changes nothing.
//
// The filter that Edit leaves depends on the architecture that the program was compiled for.
func Edit(s *specs.Spec, p Policy) error {
	if refused := Refusals(s, p); len(refused) > 0 {
		return refused
	}
	s.Process.NoNewPrivileges = true
	s.Process.Capabilities = editCapabilities(s.Process.Capabilities, p.Unsafe)
	s.Mounts = editMounts(s.Mounts)

	l := s.Linux
	l.CgroupsPath = p.Cgroup
	l.Namespaces = append(PrivateNamespaces(), specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: p.Netns})
	l.RootfsPropagation = "" // the runtime's own: nothing that is mounted inside shows on the host
	l.MaskedPaths = union(maskedPaths, l.MaskedPaths)
	l.ReadonlyPaths = union(readonlyPaths, l.ReadonlyPaths)
	if l.Resources == nil {
		l.Resources = &specs.LinuxResources{}
	}
	l.Resources.Devices = deviceRules(p)
	editSeccomp(l.Seccomp)
	return nil
}

// PrivateNamespaces returns the namespaces that each container has for itself. Its network
// namespace is the group's.
func PrivateNamespaces() []specs.LinuxNamespace {
	return []specs.LinuxNamespace{
		{Type: specs.PIDNamespace},
		{Type: specs.IPCNamespace},
		{Type: specs.UTSNamespace},
		{Type: specs.MountNamespace},
		{Type: specs.CgroupNamespace},
	}
}

// editCapabilities leaves the capabilities that a container can be given, and those in unsafe. One
// that a later kernel adds is taken away too. Nil capabilities are none: a runtime might have a
// default.
func editCapabilities(c *specs.LinuxCapabilities, unsafe []string) *specs.LinuxCapabilities {
	if c == nil {
		return &specs.LinuxCapabilities{}
	}
	keep := slices.Concat(spec.GrantableCapabilities(), unsafe)
	edit := func(set []string) []string {
		return slices.DeleteFunc(slices.Clone(set), func(name string) bool {
			bare, ok := strings.CutPrefix(name, "CAP_")
			return !ok || !slices.Contains(keep, bare)
		})
	}
	return &specs.LinuxCapabilities{
		Bounding:    edit(c.Bounding),
		Effective:   edit(c.Effective),
		Inheritable: edit(c.Inheritable),
		Permitted:   edit(c.Permitted),
		Ambient:     edit(c.Ambient),
	}
}

// maskedPaths show things of the host, or let it be changed. A runtime passes over a path that the
// kernel doesn't have.
var maskedPaths = []string{
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
}

// readonlyPaths include the sysctls: those of the network namespace are the group's, and part of
// its rules. Below the mount of the cgroups every hierarchy is read-only already. On a host with
// cgroup v1 runc forgets the folder that holds the hierarchies.
var readonlyPaths = []string{
	"/proc/bus",
	"/proc/fs",
	"/proc/irq",
	"/proc/sys",
	"/proc/sysrq-trigger",
	"/sys/fs/cgroup",
}

// union returns ours, and then those of others that are not among ours.
func union(ours, others []string) []string {
	all := slices.Clone(ours)
	for _, o := range others {
		if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}
