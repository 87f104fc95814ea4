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
	StateDir   string // required: what is wanted; persistent volumes; the private containerd
	LogDir     string // required: container output
	CgroupRoot string // required: "/sallyport"; path in the v2 hierarchy (and in every v1 one on a hybrid host)
	Table      string // required: "sallyport"; name of the inet table on the host
	Prefix4    string // required: "10.209.0.0/16"; /31s of it are given to links
	Prefix6    string // required: "fd5a:11e0:9027::/64"; /127s of it are given to links
	Namespace  string // required: "sallyport"; containerd's namespace
}

// Socket is the control socket.
func (l Layout) Socket() string { return filepath.Join(l.RunDir, "sallyport.sock") }

// NetnsPath is where a group's network namespace is pinned.
func (l Layout) NetnsPath(group string) string { return filepath.Join(l.RunDir, "netns", group) }

// VolumePath is where a volume is mounted on the host.
func (l Layout) VolumePath(group, volume string) string {
	return filepath.Join(l.RunDir, "volumes", group, volume)
}

// PersistentPath is the folder of a persistent volume, which outlives its group.
func (l Layout) PersistentPath(group, volume string) string {
	return filepath.Join(l.StateDir, "volumes", group, volume)
}

// FilesPath is the folder of the files placed into a container.
func (l Layout) FilesPath(group, container string) string {
	return filepath.Join(l.RunDir, "files", group, container)
}

// LogPath is the file with a container's output.
func (l Layout) LogPath(group, container string) string {
	return filepath.Join(l.LogDir, group, container+".log")
}

// EventsDir is the folder of the journal.
func (l Layout) EventsDir() string { return filepath.Join(l.StateDir, "events") }

// SeenPath is the note of what was last seen of a group's door. It goes with a boot, as does what it is about.
func (l Layout) SeenPath(group string) string { return filepath.Join(l.RunDir, "seen", group+".json") }

// CgroupPath is a container's cgroup, from the root of the hierarchy. Its parent is ours, stable, and what the rules name.
func (l Layout) CgroupPath(group string, role spec.Role, container string) string {
	return filepath.Join(l.CgroupParent(group, role), container)
}

// CgroupParent is the cgroup that the rules name for a role: <root>/<group>/ambassador or <root>/<group>/members.
func (l Layout) CgroupParent(group string, role spec.Role) string {
	side := "members"
	if role == spec.Ambassador {
		side = "ambassador"
	}
	return filepath.Join(l.GroupCgroup(group), side)
}

// GroupCgroup is the cgroup above all of a group's.
func (l Layout) GroupCgroup(group string) string { return filepath.Join(l.CgroupRoot, group) }
