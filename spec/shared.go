package spec

import (
	"iter"
	"path"
	"slices"
)

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

// A folderIndex has folders in the order in which they were added.
type folderIndex struct {
	all []sharedFolder
	at  map[string][]int // by path, the indexes of the folders there
	in  map[string][]int // by path, the indexes of the folders below it
}

func (x *folderIndex) add(g *Group) {
	if x.at == nil {
		x.at, x.in = map[string][]int{}, map[string][]int{}
	}
	for _, f := range g.sharedFolders() {
		n := len(x.all)
		x.all = append(x.all, f)
		x.at[f.path] = append(x.at[f.path], n)
		for dir := range foldersAbove(f.path) {
			x.in[dir] = append(x.in[dir], n)
		}
	}
}

// first returns the index of the first folder that is the given one, above it or below it, and that
// matches. It is -1 if there is none.
func (x *folderIndex) first(folder string, matches func(sharedFolder) bool) int {
	first := -1
	look := func(indexes []int) {
		for _, n := range indexes {
			if first >= 0 && n > first {
				return
			}
			if matches(x.all[n]) {
				first = n
				return
			}
		}
	}
	look(x.at[folder])
	look(x.in[folder])
	for dir := range foldersAbove(folder) {
		look(x.at[dir])
	}
	return first
}

// foldersAbove goes through the folders above one.
func foldersAbove(dir string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for dir != "/" {
			if dir = path.Dir(dir); !yield(dir) || dir == "." {
				return
			}
		}
	}
}

// warnShared warns of a folder of the host that is shared by a container that may leave and another
// group's container that may not. The first could pass the second one of its sockets. own are the
// folders of one group, for which there is one warning. before and beside are those of others.
func (r *report) warnShared(own []sharedFolder, before, beside *folderIndex, without func(group string) bool) {
	for _, a := range own {
		matches := func(b sharedFolder) bool {
			return a.group.Name != b.group.Name && a.leaves() != b.leaves() && !(a.readOnly && b.readOnly)
		}
		var b sharedFolder
		if n := before.first(a.path, func(b sharedFolder) bool { return matches(b) && (without == nil || !without(b.group.Name)) }); n >= 0 {
			b = before.all[n]
		} else if n := beside.first(a.path, matches); n >= 0 {
			b = beside.all[n]
		} else {
			continue
		}
		r.warnf(a.group.Pos.rangeIn(), "Groups share a folder of the host", "%s of group %q and %s of group %q both have %s. Through it one of them, which may leave its group, could hand the other a socket of its own (SCM_RIGHTS). Give each a folder of its own, or mount it read_only in both, unless you trust their programs not to.",
			a.container.Name, a.group.Name, b.container.Name, b.group.Name, a.path)
		return
	}
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
