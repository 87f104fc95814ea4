// Package layout has the places of everything that one Sallyport instance keeps on the host. The
// names are on the disks of running hosts: another name for a file loses what is in it.
package layout

import (
	"path/filepath"

	"github.com/sallyport/sallyport/spec"
)

// A Layout has the places of one Sallyport instance on the host. docs/design.md lists them, under
// "On the host". Two instances with disjoint layouts don't see each other.
type Layout struct {
	GroupsDir  string // required: group files, *.hcl
	RunDir     string // required: socket, namespaces, volumes, generated files; empty after a boot
	StateDir   string // required: wanted groups, persistent volumes, events, the private containerd
	LogDir     string // required: container output
	CgroupRoot string // required: "/sallyport"; path in the v2 hierarchy, and in each v1 one of a hybrid host
	Table      string // required: "sallyport"; name of the inet table on the host
	Prefix4    string // required: "10.209.0.0/16"; each link gets a /31 of it
	Prefix6    string // required: "fd5a:11e0:9027::/64"; each link gets a /127 of it
	Namespace  string // required: "sallyport"; containerd's namespace
}

// Socket returns the path of the control socket.
func (l Layout) Socket() string { return filepath.Join(l.RunDir, "sallyport.sock") }

// NetnsPath returns where a group's network namespace is pinned.
func (l Layout) NetnsPath(group string) string { return filepath.Join(l.RunDir, "netns", group) }

// VolumePath returns where a volume is mounted on the host.
func (l Layout) VolumePath(group, volume string) string {
	return filepath.Join(l.RunDir, "volumes", group, volume)
}

// PersistentPath returns the folder of a persistent volume, which outlives its group.
func (l Layout) PersistentPath(group, volume string) string {
	return filepath.Join(l.StateDir, "volumes", group, volume)
}

// FilesPath returns the folder of the files placed into a container.
func (l Layout) FilesPath(group, container string) string {
	return filepath.Join(l.RunDir, "files", group, container)
}

// SecretsPath returns where the values of a group's secrets are: a file system in memory of its
// own.
func (l Layout) SecretsPath(group string) string { return filepath.Join(l.RunDir, "secrets", group) }

// LogPath returns the file with a container's output.
func (l Layout) LogPath(group, container string) string {
	return filepath.Join(l.LogDir, group, container+".log")
}

// ErrLogPath returns the file with a container's standard error, where it is split from its
// standard output.
func (l Layout) ErrLogPath(group, container string) string {
	return filepath.Join(l.LogDir, group, container+".err.log")
}

// RemovedOutput is the name of the folder, in the LogDir, with the output of removed groups. It has
// a folder GROUP@SECONDS for each: when it was removed, since 1970.
const RemovedOutput = ".removed"

// EventsDir returns the folder of the journal.
func (l Layout) EventsDir() string { return filepath.Join(l.StateDir, "events") }

// DenialsPath returns the file with the denials that were last read from a group's namespace. A
// boot removes it, as it removes the namespace.
func (l Layout) DenialsPath(group string) string {
	return filepath.Join(l.RunDir, "seen", group+".json")
}

// LooksDir returns the folder where images are mounted while the daemon looks into them.
func (l Layout) LooksDir() string { return filepath.Join(l.RunDir, "looks") }

// UnwrittenDir returns the folder of what could not be written below StateDir, such as on a full
// disk. A boot removes it.
func (l Layout) UnwrittenDir() string { return filepath.Join(l.RunDir, "unwritten") }

// RunsDir returns the folder of the runs that are queued, going on, or kept. A boot removes it.
func (l Layout) RunsDir() string { return filepath.Join(l.RunDir, "runs") }

// FinishedDir returns the folder of what is known of all runs that have begun.
func (l Layout) FinishedDir() string { return filepath.Join(l.StateDir, "finished") }

// LoginsPath returns the file with the logins to registries, in the form of Docker's config.json.
func (l Layout) LoginsPath() string { return filepath.Join(l.StateDir, "registries.json") }

// ProofsDir returns the folder of the proofs that images are signed, a file for each digest.
func (l Layout) ProofsDir() string { return filepath.Join(l.StateDir, "proofs") }

// InitDir returns the folder of the program that is the first process of containers with init =
// true.
func (l Layout) InitDir() string { return filepath.Join(l.StateDir, "init") }

// InputPath returns the pipe that is a container's standard input, where it has one.
func (l Layout) InputPath(group, container string) string {
	return filepath.Join(l.RunDir, "inputs", spec.ID(group, container))
}

// ForwardingPath returns the file with the links that could not reach each other before a daemon
// turned forwarding on. A boot removes it, as it turns forwarding off.
func (l Layout) ForwardingPath() string { return filepath.Join(l.RunDir, "forwarding") }

// UnjudgedPath returns the file with the addresses of groups whose rules have changed and whose
// open flows have not been compared with them yet. It does not outlive a boot.
func (l Layout) UnjudgedPath() string { return filepath.Join(l.RunDir, "unjudged") }

// CgroupPath returns the cgroup that the runtime makes for a container and removes with it, from
// the root of the hierarchy. Below the container's own cgroup it can't take that one along.
func (l Layout) CgroupPath(group string, role spec.Role, container string) string {
	return filepath.Join(l.ContainerCgroup(group, role, container), "leaf")
}

// ContainerCgroup returns the cgroup of a container of the definition. It stays while the container
// is restarted or replaced, so a rule can name it. Older daemons let the runtime make this one and
// put the processes directly into it.
func (l Layout) ContainerCgroup(group string, role spec.Role, container string) string {
	return filepath.Join(l.CgroupParent(group, role), container)
}

// CgroupParent returns the cgroup above a role's containers: <root>/<group>/ambassador or
// <root>/<group>/members. The rules name it, since it stays while containers come and go.
func (l Layout) CgroupParent(group string, role spec.Role) string {
	side := "members"
	if role == spec.Ambassador {
		side = "ambassador"
	}
	return filepath.Join(l.GroupCgroup(group), side)
}

// GroupCgroup returns the cgroup above all cgroups of a group.
func (l Layout) GroupCgroup(group string) string { return filepath.Join(l.CgroupRoot, group) }
