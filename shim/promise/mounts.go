package promise

import (
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mountOptions are the options that a mount of each type has at least. A type that is not among
// them is refused: it may show devices, settings or files of the host.
var mountOptions = map[string][]string{
	"bind":    {"nosuid", "nodev"},
	"cgroup":  {"nosuid", "noexec", "nodev", "ro"},
	"cgroup2": {"nosuid", "noexec", "nodev", "ro"},
	"devpts":  {"nosuid", "noexec"},
	"mqueue":  {"nosuid", "noexec", "nodev"},
	"proc":    {"nosuid", "noexec", "nodev"},
	"sysfs":   {"nosuid", "noexec", "nodev", "ro"},
	"tmpfs":   {"nosuid", "nodev"},
}

// opposites are the options that undo another one.
var opposites = map[string][]string{
	"nosuid": {"suid", "rsuid"},
	"nodev":  {"dev", "rdev"},
	"noexec": {"exec", "rexec"},
	"ro":     {"rw", "rrw"},
}

// propagations are those in which a mount made inside shows outside, or one made outside inside.
var propagations = []string{"shared", "rshared", "slave", "rslave"}

// mountType returns a mount's type. A bind mount has an option for it, and any type.
func mountType(m specs.Mount) string {
	if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
		return "bind"
	}
	return m.Type
}

// editMounts gives every mount the options of its type.
func editMounts(mounts []specs.Mount) []specs.Mount {
	edited := slices.Clone(mounts)
	for i, m := range edited {
		m.Options = slices.Clone(m.Options)
		for _, option := range mountOptions[mountType(m)] {
			if option == "nodev" && m.Type == "tmpfs" && path.Clean(m.Destination) == "/dev" {
				continue // the harmless devices are in it
			}
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return slices.Contains(opposites[option], o) })
			if !slices.Contains(m.Options, option) {
				m.Options = append(m.Options, option)
			}
		}
		m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return slices.Contains(propagations, o) })
		if mountType(m) == "bind" && !slices.Contains(m.Options, "private") && !slices.Contains(m.Options, "rprivate") {
			m.Options = append(m.Options, "rprivate")
		}
		edited[i] = m
	}
	return edited
}
