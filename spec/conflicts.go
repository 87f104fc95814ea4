package spec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Conflicts reports valid groups that can't run together on one host: they have the same name, or
// publish the same port of the host. It warns of a shared folder of the host through which one
// group could let another group's members out.
func Conflicts(groups []Group) hcl.Diagnostics {
	rep := &report{}
	type port struct {
		host     uint16
		protocol string
	}
	type claim struct {
		group *Group
		Publish
	}
	named, claims := map[string]*Group{}, map[port][]claim{}
	for i := range groups {
		g := &groups[i]
		if first, ok := named[g.Name]; ok {
			rep.errorf(g.Pos.rangeIn(), "Duplicate group", "There is already a group %q, at %s. Give one of the two another name, or remove it.", g.Name, first.Pos)
			continue
		}
		named[g.Name] = g
		for _, p := range g.Door().Publish {
			key := port{p.Host, p.Protocol}
			for _, other := range claims[key] {
				if other.group != g && p.overlaps(other.Publish) {
					rep.errorf(g.Pos.rangeIn(), "Host port used twice", "Port %d/%s of the host, which publish %q of group %q asks for, belongs to group %q (%s). Choose another port, or another address.", p.Host, p.Protocol, p.Name, g.Name, other.group.Name, other.group.Pos)
					break
				}
			}
			claims[key] = append(claims[key], claim{g, p})
		}
	}
	rep.warnShared(groups)
	return rep.diags
}

// String returns the place as compilers write it: file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// rangeIn returns the place for a diagnostic. A Pos has no byte offset, so the range is empty.
func (p Pos) rangeIn() hcl.Range {
	at := hcl.Pos{Line: p.Line, Column: p.Column}
	return hcl.Range{Filename: p.File, Start: at, End: at}
}
