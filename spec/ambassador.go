package spec

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// readUpstreams reads the upstream blocks of the group's ambassador. Everything that may refer to
// them is read later.
func (d *groupDecoder) readUpstreams(group *hclsyntax.Block) {
	for _, door := range blocksOf(group.Body, string(Ambassador)) {
		names, ports, hosts := map[string]hcl.Range{}, map[string]hcl.Range{}, map[string]hcl.Range{}
		for b := range d.keyed(blocksOf(door.Body, "upstream")) {
			name, labelled := label(b)
			u := Upstream{Name: name}
			if labelled {
				d.checkName("upstream", name, maxContainerName, "", b.LabelRanges[0])
				d.unique(names, "upstream", name, b.LabelRanges[0])
				d.upstream[name] = cty.DynamicVal
			}
			if port, at, ok := d.in(b).port("listen"); ok {
				u.Listen = port
				if first, taken := ports[fmt.Sprint(port)]; taken {
					d.errorf(at, "Port used twice", "Another upstream listens on port %d already, on line %d. Choose another port.", port, first.Start.Line)
				}
				ports[fmt.Sprint(port)] = at
				d.upstream[name] = cty.StringVal(netip.AddrPortFrom(loopback, port).String())
			}
			d.listens[b] = u
		}
		for b := range d.keyed(blocksOf(door.Body, "upstream")) {
			u := d.listens[b]
			u.Hosts = d.hosts(b, hosts, names)
			d.listens[b] = u
		}
	}
}

// loopback is the address at which the members of a group reach its ambassador.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func (d *groupDecoder) upstreams(door *hclsyntax.Block) []Upstream {
	var all []Upstream
	for _, b := range blocksOf(door.Body, "upstream") {
		all = append(all, d.listens[b])
	}
	slices.SortFunc(all, func(a, b Upstream) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
