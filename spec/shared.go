package spec

import "slices"

// A shared folder is a folder of the host as one container of a group has it.
type sharedFolder struct {
	group     *Group
	container *Container
	path      string
	readOnly  bool
}

// leaves reports whether the container exchanges packets with the world.
func (f sharedFolder) leaves() bool {
	return f.container.Role == Ambassador || f.group.Egress == EgressDirect
}

// warnShared warns of a folder of the host that is shared by a container that may leave and another
// group's container that may not. The first could pass the second one of its sockets. There is one
// warning per group.
func (r *report) warnShared(groups []Group) {
	var seen []sharedFolder
	for i := range groups {
		own := groups[i].sharedFolders()
		if first, second, ok := handsOver(seen, own); ok {
			r.warnf(second.group.Pos.rangeIn(), "Groups share a folder of the host", "%s of group %q and %s of group %q both have %s. Through it one of them, which may leave its group, could hand the other a socket of its own (SCM_RIGHTS). Give each a folder of its own, or mount it read_only in both, unless you trust their programs not to.",
				second.container.Name, second.group.Name, first.container.Name, first.group.Name, second.path)
		}
		seen = append(seen, own...)
	}
}

// handsOver finds two containers with one folder. One of them may leave and the other may not, and
// at least one can write to the folder.
func handsOver(seen, own []sharedFolder) (first, second sharedFolder, ok bool) {
	for _, a := range own {
		i := slices.IndexFunc(seen, func(b sharedFolder) bool {
			return a.group.Name != b.group.Name && a.leaves() != b.leaves() && !(a.readOnly && b.readOnly) && (within(a.path, b.path) || within(b.path, a.path))
		})
		if i >= 0 {
			return seen[i], a, true
		}
	}
	return first, second, false
}

// sharedFolders returns the folders of the host that the group's containers have.
func (g *Group) sharedFolders() []sharedFolder {
	var all []sharedFolder
	for i := range g.Containers {
		for _, m := range g.Containers[i].Mounts {
			v := slices.IndexFunc(g.Volumes, func(v Volume) bool { return v.Name == m.Volume && v.HostPath != "" })
			if v >= 0 {
				all = append(all, sharedFolder{g, &g.Containers[i], g.Volumes[v].HostPath, m.ReadOnly})
			}
		}
	}
	return all
}
