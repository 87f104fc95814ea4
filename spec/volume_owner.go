package spec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// NamesOwner reports whether the volume's owner has a name in it, and not only numbers. The name is
// that of the image of the containers that have the volume: see [Group.Writers].
func (v Volume) NamesOwner() bool { return strings.Trim(v.Owner, "0123456789:") != "" }

// Writers returns the containers that can write to a volume, in start order. If none can, it
// returns those that mount it.
func (g *Group) Writers(volume string) (all []*Container) {
	var readers []*Container
	for i := range g.Containers {
		c := &g.Containers[i]
		has := func(readOnly bool) bool {
			return slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Volume == volume && m.ReadOnly == readOnly })
		}
		switch {
		case has(false):
			all = append(all, c)
		case has(true):
			readers = append(readers, c)
		}
	}
	if len(all) == 0 {
		return readers
	}
	return all
}

// volumeOwner reads the owner of a volume: two numbers without leading zeros, or names of an image.
func (d *groupDecoder) volumeOwner(r reader) string {
	s, at, ok := r.text("owner", optional)
	switch {
	case !ok:
		return ""
	case allDigits(strings.Replace(s, ":", "", 1)):
		return d.owner(r)
	case !isImageUser(s):
		d.errorf(at, "Invalid owner", "%s is no owner. Write a user's number and a group's, or names from the image: \"65532:65532\", \"www-data\", \"www-data:www-data\".", quote(s))
		return ""
	}
	return s
}

// noteOwner notes the place of a volume's owner, if that has a name in it.
func (d *groupDecoder) noteOwner(name string, v Volume, block *hclsyntax.Block) {
	if a := block.Body.Attributes["owner"]; a != nil && v.NamesOwner() && v.HostPath == "" {
		d.named[name] = a.Expr.Range()
	}
}

// checkOwners reports an owner with a name that no image has, or that may be another user in each
// of several images.
func (d *groupDecoder) checkOwners(g *Group) {
	for _, v := range g.Volumes {
		at, named := d.named[v.Name]
		if !named {
			continue
		}
		const numbers = `write the numbers: "65532:65532"`
		writers := g.Writers(v.Name)
		if len(writers) == 0 {
			d.errorf(at, "An owner without an image", "%s is a name in the image of a container that mounts the volume, and none does. Mount it, or %s.", quote(v.Owner), numbers)
			continue
		}
		if i := slices.IndexFunc(writers, func(c *Container) bool { return c.Image != writers[0].Image }); i > 0 {
			d.errorf(at, "An owner of two images", "%s may be another user in the image of %s than in that of %s, and both have the volume. Mount it read_only in the one that does not write to it, or %s.", quote(v.Owner), quote(writers[i].Name), quote(writers[0].Name), numbers)
		}
	}
}
