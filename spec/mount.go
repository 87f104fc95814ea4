package spec

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// mounts reads a container's mounts, sorted by path, so that a mount comes after those above it.
func (d *groupDecoder) mounts(container *hclsyntax.Block, taken map[string]hcl.Range) []Mount {
	var all []Mount
	for b := range d.keyed(blocksOf(container.Body, "mount")) {
		r := d.in(b)
		m := Mount{ReadOnly: r.flag("read_only")}
		if name, ok := label(b); ok {
			m.Volume = name
			d.checkVolume(name, b.LabelRanges[0])
			d.checkWritable(m, b.DefRange())
		}
		if p, at, ok := r.text("path", required); ok {
			m.Path, _ = d.mountTarget(p, at, taken)
		}
		m.FromImage = r.flag("from_image")
		d.checkFilled(r, m)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Mount) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// checkFilled reports a volume that can't be filled from an image, and one that several mounts
// fill.
func (d *groupDecoder) checkFilled(r reader, m Mount) {
	at := r.nameOf("from_image")
	switch first, twice := d.filled[m.Volume]; {
	case !m.FromImage || m.Volume == "":
	case d.hostPaths[m.Volume] != "":
		d.errorf(at, "A folder of the host", "The volume %s is a folder of the host, and nothing is copied into one. Fill it yourself, or give the group a volume of its own: volume %s { persistent = true }.", quote(m.Volume), quote(m.Volume))
	case m.Path == SharedMemory:
		d.errorf(at, "Nothing to copy", "An image has nothing at %s. Remove the line.", SharedMemory)
	case twice:
		d.errorf(at, "Filled twice", "The mount in line %d fills the volume %s already. All containers are made before the first of them starts, so they all find what it gets. Remove one of the lines.", first.Start.Line, quote(m.Volume))
	default:
		d.filled[m.Volume] = at
	}
}

// mountTarget checks the path of a mount. A volume may take the place of the shared memory.
func (d *groupDecoder) mountTarget(p string, at hcl.Range, taken map[string]hcl.Range) (string, bool) {
	if path.Clean(p) == SharedMemory {
		return d.place(SharedMemory, at, taken)
	}
	return d.target("path", p, at, taken)
}

// checkVolume reports a mount of a volume that the group doesn't have, or of a path instead of a
// volume.
func (d *groupDecoder) checkVolume(name string, at hcl.Range) {
	if _, ok := d.volumes[name]; ok {
		return
	}
	declared := slices.Sorted(maps.Keys(d.volumes))
	switch why := wayOut(name); {
	case why != "":
		d.errorf(at, "Not allowed in a group", "%s", why)
	case strings.ContainsAny(name, "/~"):
		d.errorf(at, "Unknown volume", "%s is a path, and what is mounted is a volume of the group. Declare one (volume \"NAME\" { host_path = \"/srv/data\" }) and mount it: mount \"NAME\" { path = \"/path\" }.", quote(name))
	case len(declared) == 0:
		d.errorf(at, "Unknown volume", "There is no volume %s: the group has none. Declare it in the group: volume %s { size = \"64MiB\" }", quote(name), quote(name))
	default:
		d.errorf(at, "Unknown volume", "There is no volume %s.%s The group has %s.", quote(name), DidYouMean(name, declared), list(declared))
	}
}

// warnShared warns of a volume through which the ambassador could pass one of its sockets to a
// member.
func (d *groupDecoder) warnShared(g *Group, block *hclsyntax.Block) {
	for _, v := range blocksOf(block.Body, "volume") {
		name, _ := label(v)
		var ambassador, member, writable bool
		for _, c := range g.Containers {
			for _, m := range c.Mounts {
				if m.Volume == name || d.samePlace(m.Volume, name) {
					ambassador = ambassador || c.Role == Ambassador
					member = member || c.Role != Ambassador
					writable = writable || !m.ReadOnly
				}
			}
		}
		if ambassador && member && writable {
			d.warnf(v.DefRange(), "The ambassador shares a volume with a member", "Through the writable volume %s the ambassador could hand a member a socket of its own (SCM_RIGHTS), and the member could leave the group through it. Mount it read_only everywhere, or not in the ambassador, unless you trust the ambassador's program not to. Files for the world can be served by a member, to which the ambassador passes requests on.", quote(name))
		}
	}
}

// checkInside reports what is placed in the ambassador inside a volume that a member can write to.
// The member could put a link in its place. Then it would be placed where the link leads, such as
// over the ambassador's programs, and what it has may be the member's too.
func (d *groupDecoder) checkInside(g *Group) {
	for _, p := range slices.Sorted(maps.Keys(d.placed)) {
		for _, outer := range g.Containers[slices.IndexFunc(g.Containers, func(c Container) bool { return c.Role == Ambassador })].Mounts {
			member := d.writer(g, outer.Volume)
			if member == "" || outer.Path == "" || p == outer.Path || !within(p, outer.Path) {
				continue
			}
			d.errorf(d.placed[p], "Inside what a member writes", "%s is inside the volume %s, to which the member %s can write. It could put a link there, and this would be placed over the ambassador's own programs. Choose a path outside of %s, or mount the volume read_only in %s.",
				quote(p), quote(outer.Volume), quote(member), quote(outer.Path), quote(member))
			break
		}
	}
}

// writer returns a member that can write to a volume, or "".
func (d *groupDecoder) writer(g *Group, volume string) string {
	for _, c := range g.Containers {
		for _, m := range c.Mounts {
			if c.Role != Ambassador && !m.ReadOnly && (m.Volume == volume || d.samePlace(m.Volume, volume)) {
				return c.Name
			}
		}
	}
	return ""
}

// samePlace reports whether two volumes are the same folder of the host, or one is inside the
// other.
func (d *groupDecoder) samePlace(a, b string) bool {
	one, other := d.hostPaths[a], d.hostPaths[b]
	return one != "" && other != "" && (within(one, other) || within(other, one))
}
