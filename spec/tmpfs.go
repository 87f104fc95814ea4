package spec

import (
	"cmp"
	"maps"
	"path"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// defaultTmpfsSize is that of an ephemeral volume, which is memory as well.
const defaultTmpfsSize = defaultVolumeSize

// generatedFiles are the files that every container gets at its start, unless a file block replaces
// them.
var generatedFiles = []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}

// GeneratedFiles returns the paths of the files that every container gets at its start.
func GeneratedFiles() []string { return slices.Clone(generatedFiles) }

// tmpfs reads a container's file systems in memory, sorted by path.
func (d *groupDecoder) tmpfs(container *hclsyntax.Block, taken map[string]hcl.Range) []Tmpfs {
	var all []Tmpfs
	for b := range d.keyed(blocksOf(container.Body, "tmpfs")) {
		r := d.in(b)
		t := Tmpfs{Owner: d.owner(r), Mode: d.octal(r, maxVolumeMode, "1777"), Exec: r.flag("exec")}
		if t.Owner == "" && t.Mode == defaultVolumeMode || t.Owner != "" && t.Mode == defaultOwnedMode {
			t.Mode = 0
		}
		if t.Size = defaultTmpfsSize; r.has("size") {
			t.Size, _ = r.size("size", minVolumeSize, maxVolumeSize)
		}
		if p, ok := label(b); ok {
			t.Path, _ = d.target("tmpfs", p, b.LabelRanges[0], taken)
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Tmpfs) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// Ownership returns the owner and the mode, with the defaults filled in.
func (t Tmpfs) Ownership() (uid, gid int, mode uint32, err error) {
	return Volume{Name: t.Path, Owner: t.Owner, Mode: t.Mode}.Ownership()
}

// checkFolders reports a mount or a tmpfs at or below the path of a file, and a file below one.
func (d *groupDecoder) checkFolders(c *Container, taken map[string]hcl.Range) {
	isFile := map[string]bool{}
	for _, f := range c.Files {
		isFile[f.Path] = true
	}
	for _, p := range slices.Sorted(maps.Keys(taken)) {
		dir := p
		if isFile[p] { // it may replace a generated one
			dir = path.Dir(p)
		}
		for ; dir != "/"; dir = path.Dir(dir) {
			if isFile[dir] {
				d.errorf(taken[p], "Below a file", "A file is placed at %s, on line %d, so nothing can be below it. Choose another path.", quote(dir), taken[dir].Start.Line)
				break
			}
			if slices.Contains(generatedFiles, dir) {
				d.errorf(taken[p], "Sallyport's own file", "Sallyport places a file at %s in every container, so nothing else can be at or below it but a file block. Choose another path.", quote(dir))
				break
			}
		}
	}
}

// checkTmpfs reports a tmpfs that can't be made, or that is larger than the memory of its container
// or its group.
func (d *groupDecoder) checkTmpfs(g *Group, group *hclsyntax.Block) {
	for i, b := range containersOf(group) {
		c := &g.Containers[i]
		for _, block := range blocksOf(b.Body, "tmpfs") {
			p, _ := label(block)
			at := slices.IndexFunc(c.Tmpfs, func(t Tmpfs) bool { return t.Path != "" && t.Path == path.Clean(p) })
			if at < 0 {
				continue // reported
			}
			if r := d.in(block); r.has("size") { // a default above the limit is no mistake
				d.checkMemorySize("a tmpfs", c.Tmpfs[at].Size, c.Resources.Memory, g.Resources.Memory, r.body.Attributes["size"].Expr.Range())
			}
			if above := mountAbove(c.Mounts, c.Tmpfs[at].Path); above != nil && above.ReadOnly {
				if v := FindVolume(g.Volumes, above.Volume); v != nil && !v.Persistent && v.HostPath == "" {
					d.errorf(block.LabelRanges[0], "In a volume that is read-only", "The volume %s is empty when the group starts, and read_only at %s, so no folder can be made there for this tmpfs. Choose a path outside of the volume.", quote(v.Name), quote(above.Path))
				}
			}
		}
	}
}

// checkMemorySize compares the size of a file system in memory with the memory that its container
// may have, or else the group. What is in it counts there. A limit of 0 is none.
func (d *groupDecoder) checkMemorySize(what string, size, container, group int64, at hcl.Range) {
	most, whose := container, "container"
	if most == 0 {
		most, whose = group, "group"
	}
	if most > 0 && size > most {
		d.errorf(at, "More than the memory", "What is in %s counts in the memory of its %s. This one may hold %s, and the %s may have %s. Lower it, or raise \"memory\" in the %s's resources.", what, whose, exactSize(size), whose, exactSize(most), whose)
	}
}

// mountAbove returns the innermost mount that a path is below, or nil. The mounts are sorted by
// path.
func mountAbove(mounts []Mount, p string) (above *Mount) {
	for i, m := range mounts {
		if m.Path != "" && within(p, m.Path) {
			above = &mounts[i]
		}
	}
	return above
}
