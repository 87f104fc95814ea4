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
		for _, b := range blocksOf(door.Body, "upstream") {
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
		for _, b := range blocksOf(door.Body, "upstream") {
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

var protocols = []string{"tcp", "udp"}

// publish reads the ports of the host that lead to the ambassador, sorted by name.
func (d *groupDecoder) publish(door *hclsyntax.Block) []Publish {
	var all []Publish
	seen := map[string]hcl.Range{}
	for _, b := range blocksOf(door.Body, "publish") {
		p := Publish{Protocol: "tcp"}
		if name, ok := label(b); ok {
			d.checkName("publish", name, maxContainerName, "", b.LabelRanges[0])
			d.unique(seen, "publish", name, b.LabelRanges[0])
			p.Name = name
		}
		r := d.in(b)
		var at hcl.Range
		p.Host, at, _ = r.port("host")
		p.Port, _, _ = r.port("port")
		p.Address = d.hostAddress(r)
		if protocol, _, ok := r.oneOf("protocol", protocols); ok {
			p.Protocol = protocol
		}
		for _, other := range all {
			if p.Host != 0 && p.overlaps(other) {
				d.errorf(at, "Host port used twice", "Port %d/%s of the host leads to publish %q already. Choose another port, or another address.", p.Host, p.Protocol, other.Name)
				break
			}
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Publish) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// overlaps reports whether the two ports exclude each other on one host.
func (p Publish) overlaps(other Publish) bool {
	return p.Host == other.Host && p.Protocol == other.Protocol &&
		(p.Address == other.Address || p.Address == "" || other.Address == "")
}

func (d *groupDecoder) hostAddress(r reader) string {
	s, at, ok := r.text("address", optional)
	if !ok {
		return ""
	}
	switch a, err := netip.ParseAddr(s); {
	case err != nil || a.Zone() != "":
		d.errorf(at, "Invalid address", "%s is no IP address of this host. Write one such as \"192.0.2.1\" or \"2001:db8::1\", or leave the line out for all of them.", quote(s))
	case a.IsUnspecified():
		d.errorf(at, "Invalid address", "Leave the line out to publish on every address of the host, of both families.")
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		d.errorf(at, "Invalid address", "%s is the address of many hosts. Write one of this host's.", quote(s))
	default:
		return a.Unmap().String()
	}
	return ""
}
