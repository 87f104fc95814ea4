package promise

import (
	"fmt"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

// A Refusal is one thing that a spec asks for and that no container of a group gets.
type Refusal struct {
	Asks string // the request, such as "the host's pid namespace"
	Why  string // one or more whole sentences
}

func (r Refusal) String() string { return r.Asks + ": " + r.Why }

// Refused is the error of a spec with refusals.
type Refused []Refusal

func (r Refused) Error() string {
	var list []string
	for _, one := range r {
		list = append(list, one.String())
	}
	return "not for a container of a group: " + strings.Join(list, " ")
}

// Refusals returns the requests of s that can't be taken away, because that would make it another
// container. The order is that of the spec's own fields. It returns nil for a spec that [Edit]
// takes.
func Refusals(s *specs.Spec, p Policy) Refused {
	var c checker
	c.policy(p)
	if s.Process == nil {
		c.refuse("no process", "There is no program to hold to the promise.")
	}
	if s.Hooks != nil {
		c.refuse("hooks", "A hook is a program that runs outside of the container.")
	}
	if s.VM != nil {
		c.refuse("a virtual machine", spec.TakenAway("runtime"))
	}
	c.mounts(s.Mounts, p)
	if s.Linux == nil {
		c.refuse("no part for Linux", "The spec is for another system.")
		return c.refused
	}
	c.namespaces(s.Linux.Namespaces, p)
	if s.Linux.CgroupsPath != "" && s.Linux.CgroupsPath != p.Cgroup {
		c.refuse("the cgroup "+s.Linux.CgroupsPath, spec.TakenAway("cgroup"))
	}
	if len(s.Linux.UIDMappings) > 0 || len(s.Linux.GIDMappings) > 0 {
		c.refuse("mapped users", spec.TakenAway("uid_map"))
	}
	// Those of the IPC namespace are the container's own, and no packet goes through it.
	for _, name := range slices.Sorted(maps.Keys(s.Linux.Sysctl)) {
		if !slices.Contains(spec.ContainerSysctls(), name) {
			c.refuse("the sysctl "+name, spec.TakenAway("sysctl"))
		}
	}
	c.devices(s.Linux.Devices, p)
	for _, name := range slices.Sorted(maps.Keys(s.Linux.NetDevices)) {
		c.refuse("the host's interface "+name, spec.DeviceReason("network"))
	}
	c.seccomp(s.Linux.Seccomp)
	return c.refused
}

type checker struct{ refused Refused }

func (c *checker) refuse(asks, why string) {
	c.refused = append(c.refused, Refusal{Asks: asks, Why: why})
}

func (c *checker) policy(p Policy) {
	if p.Netns == "" {
		c.refuse("no network namespace", spec.TakenAway("network_mode"))
	}
	if p.Cgroup == "" {
		c.refuse("no cgroup", spec.TakenAway("cgroup"))
	}
	for _, name := range p.Unsafe {
		if !slices.Contains(spec.UnsafeCapabilities(), name) {
			c.refuse("the capability "+name+" as unsafe", "What can be given up is "+strings.Join(spec.UnsafeCapabilities(), " and ")+".")
		}
	}
}

// reasons are the names under which package spec has why a namespace is not the spec's to choose.
var reasons = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace:     "pid",
	specs.IPCNamespace:     "ipc",
	specs.UTSNamespace:     "uts",
	specs.CgroupNamespace:  "cgroup",
	specs.NetworkNamespace: "network_mode",
	specs.UserNamespace:    "userns",
}

// namespaces refuses the namespaces of the host, which a spec asks for by not naming any, and those
// of others. A network namespace without a path would be a new one: it becomes the group's.
func (c *checker) namespaces(asked []specs.LinuxNamespace, p Policy) {
	may := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: p.Netns}
	for _, n := range PrivateNamespaces() {
		may[n.Type] = ""
	}
	has := map[specs.LinuxNamespaceType]bool{}
	for _, n := range asked {
		has[n.Type] = true
		switch path, ok := may[n.Type]; {
		case !ok:
			c.refuse("a "+string(n.Type)+" namespace", whyNot(n.Type))
		case n.Path != "" && n.Path != path:
			c.refuse("the "+string(n.Type)+" namespace "+n.Path, whyNot(n.Type))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(may)) {
		if !has[kind] {
			c.refuse("the host's "+string(kind)+" namespace", whyNot(kind))
		}
	}
}

func whyNot(kind specs.LinuxNamespaceType) string {
	if reason, ok := reasons[kind]; ok {
		return spec.TakenAway(reason)
	}
	return "Each container has a mount namespace of its own and the clock of the host."
}

func (c *checker) mounts(mounts []specs.Mount, p Policy) {
	for _, m := range mounts {
		kind := mountType(m)
		if _, ok := mountOptions[kind]; !ok {
			c.refuse(fmt.Sprintf("a filesystem of type %q at %s", kind, m.Destination), "It may show devices, settings or files of the host, or open connections of its own outside the group's rules.")
		}
		switch {
		case kind != "bind" || slices.Contains(p.Own, m.Source):
		case !path.IsAbs(m.Source):
			c.refuse("the folder "+m.Source, "A relative path may lead anywhere on the host.")
		case spec.WayOut(m.Source) != "":
			c.refuse("the host's "+m.Source, spec.WayOut(m.Source))
		}
	}
}

// harmless reports whether a device is one that a runtime gives to every container, or no device at
// all.
func harmless(d specs.LinuxDevice) bool {
	type number struct{ major, minor int64 }
	switch d.Type {
	case "p":
		return true
	case "c", "u":
		return slices.Contains([]number{
			{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, // null, zero, full, random, urandom
			{5, 0}, {5, 2}, // tty, ptmx
		}, number{d.Major, d.Minor})
	}
	return false
}

func (c *checker) seccomp(filter *specs.LinuxSeccomp) {
	why := spec.TakenAway("seccomp")
	switch {
	case filter == nil:
		c.refuse("no seccomp filter", why)
		return
	case !denies(filter.DefaultAction):
		c.refuse("a seccomp filter that admits what it doesn't name", why)
	}
	if filter.ListenerPath != "" {
		c.refuse("a seccomp filter that another process decides for", why)
	}
	if architectures[runtime.GOARCH] == nil {
		c.refuse("a seccomp filter on "+runtime.GOARCH, "Socket families can't be told apart on this architecture.")
	}
}
