package spec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Conflicts reports valid groups that can't run together on one host: they have the same name, or
// publish the same port of the host. It warns of a shared folder of the host through which one
// group could let another group's members out.
func Conflicts(groups []Group) hcl.Diagnostics { return (&Index{}).Conflicts(groups, nil) }

// An Index has the groups of one host by name, port and folder. So a further group is compared only
// with those that have the same. The zero Index has no groups.
type Index struct {
	named   map[string]*Group
	ports   map[hostPort][]claim
	folders folderIndex
}

type hostPort struct {
	port     uint16
	protocol string
}

// A claim is a host port that a group publishes.
type claim struct {
	group *Group
	Publish
}

// Conflicts reports what the function Conflicts reports of the given groups after those of the
// index. It takes the groups for which without returns true as not there. A nil without is false.
func (x *Index) Conflicts(groups []Group, without func(group string) bool) hcl.Diagnostics {
	rep, own := &report{}, &Index{}
	for i := range groups {
		g := &groups[i]
		first := x.named[g.Name]
		if first == nil || without != nil && without(g.Name) {
			first = own.named[g.Name]
		}
		if first != nil {
			rep.errorf(g.Pos.rangeIn(), "Duplicate group", "There is already a group %q, at %s. Give one of the two another name, or remove it.", g.Name, first.Pos)
			continue
		}
		for _, p := range g.Door().Publish {
			other := x.publisher(p, without)
			if other == nil {
				other = own.publisher(p, nil)
			}
			if other != nil {
				rep.errorf(g.Pos.rangeIn(), "Host port used twice", "Port %s of the host, which publish %q of group %q asks for, belongs to group %q (%s). Choose another port, or another address.", p.HostText()+"/"+p.Protocol, p.Name, g.Name, other.Name, other.Pos)
			}
		}
		own.add(g)
	}
	for i := range groups {
		rep.warnShared(groups[i].sharedFolders(), &x.folders, &own.folders, without)
		own.folders.add(&groups[i])
	}
	return rep.diags
}

// Add adds groups. They are kept, so they must not change later.
func (x *Index) Add(groups []Group) {
	for i := range groups {
		x.add(&groups[i])
		x.folders.add(&groups[i])
	}
}

func (x *Index) add(g *Group) {
	if x.named == nil {
		x.named, x.ports = map[string]*Group{}, map[hostPort][]claim{}
	}
	x.named[g.Name] = g
	for _, p := range g.Door().Publish {
		for one := range p.Each() {
			key := hostPort{one.Host, one.Protocol}
			x.ports[key] = append(x.ports[key], claim{g, one})
		}
	}
}

// Publisher returns the name of a group that publishes the port on an overlapping address, or "".
func (x *Index) Publisher(p Publish) string {
	if g := x.publisher(p, nil); g != nil {
		return g.Name
	}
	return ""
}

// publisher returns the first group that publishes the port on an overlapping address. It is nil if
// none does.
func (x *Index) publisher(p Publish, without func(group string) bool) *Group {
	for one := range p.Each() {
		for _, c := range x.ports[hostPort{one.Host, one.Protocol}] {
			if one.overlaps(c.Publish) && (without == nil || !without(c.group.Name)) {
				return c.group
			}
		}
	}
	return nil
}

// String returns the place as compilers write it: file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// rangeIn returns the place for a diagnostic. A Pos has no byte offset, so the range is empty.
func (p Pos) rangeIn() hcl.Range {
	at := hcl.Pos{Line: p.Line, Column: p.Column}
	return hcl.Range{Filename: p.File, Start: at, End: at}
}
