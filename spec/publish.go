package spec

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var protocols = []string{"tcp", "udp"}

// maxRangePorts limits the ports of an ambassador that ranges publish, all together. Each is an
// element of several sets of the kernel.
const maxRangePorts = 512

// publish reads the ports of the host that lead to the ambassador, sorted by name.
func (d *groupDecoder) publish(door *hclsyntax.Block) []Publish {
	var all []Publish
	seen := map[string]hcl.Range{}
	ranged := 0
	for b := range d.keyed(blocksOf(door.Body, "publish")) {
		p := Publish{Protocol: "tcp"}
		if name, ok := label(b); ok {
			d.checkName("publish", name, maxContainerName, "", b.LabelRanges[0])
			d.unique(seen, "publish", name, b.LabelRanges[0])
			p.Name = name
		}
		r := d.in(b)
		at := d.publishPorts(r, &p)
		if p.Count > 0 {
			if ranged += int(p.Count); ranged > maxRangePorts {
				d.errorf(at, "Too many ports", "Ranges publish %d ports of this ambassador by here, and %d are allowed. Publish fewer.", ranged, maxRangePorts)
			}
		}
		p.Address = d.hostAddress(r)
		if protocol, _, ok := r.oneOf("protocol", protocols); ok {
			p.Protocol = protocol
		}
		for _, other := range all {
			if p.Host != 0 && p.overlaps(other) {
				d.errorf(at, "Host port used twice", "Port %s/%s of the host leads to publish %q already. Choose another port, or another address.", p.shared(other), p.Protocol, other.Name)
				break
			}
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Publish) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// publishPorts reads both sides of a publish block: two ports, or a range of the host's and where
// it leads. It returns the place of the host's side.
func (d *groupDecoder) publishPorts(r reader, p *Publish) hcl.Range {
	first, count, at, ranged := d.portRange(r, "host")
	if !ranged {
		p.Host, at, _ = r.port("host")
		if _, _, where, ranged := d.portRange(r, "port"); ranged {
			d.errorf(where, "A range for one port", "\"port\" is a range, and \"host\" is none. Write the host's range too: host = \"10000-10100\"")
			return at
		}
		p.Port, _, _ = r.port("port")
		return at
	}
	p.Host, p.Count, p.Port = first, count, first
	if !r.has("port") || count == 0 {
		return at
	}
	if inside, n, where, ranged := d.portRange(r, "port"); ranged {
		if n != 0 && n != count {
			d.errorf(where, "Ranges that differ", "The host's range has %d ports, and this one has %d. Write one as long, or its first port alone.", count, n)
		}
		p.Port = inside
	} else if port, where, ok := r.port("port"); ok {
		p.Port = port
		if int(port)+int(count)-1 > 65535 {
			d.errorf(where, "Range too long", "The host's range has %d ports. From %d on there are not so many. Write a smaller first port.", count, port)
		}
	}
	return at
}

// portRange reads a range of ports: "10000-10100". ranged is false for all else, and nothing is
// reported then. A count of 0 means that the range is wrong, which has been reported.
func (d *groupDecoder) portRange(r reader, name string) (first, count uint16, at hcl.Range, ranged bool) {
	attr := r.body.Attributes[name]
	if attr == nil {
		return 0, 0, at, false
	}
	before := len(d.diags)
	v, ok := r.eval(attr.Expr)
	d.diags = d.diags[:before] // the caller reads it again
	at = attr.Expr.Range()
	if !ok || !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return 0, 0, at, false
	}
	from, to, ranged := strings.Cut(v.AsString(), "-")
	if !ranged || from == "" {
		return 0, 0, at, false
	}
	low, err := strconv.ParseUint(from, 10, 16)
	high, errHigh := strconv.ParseUint(to, 10, 16)
	switch {
	case err != nil || errHigh != nil || low == 0:
		d.errorf(at, "Invalid range", "%s is no range of ports. Write two ports from 1 to 65535: %s = \"10000-10100\"", quote(v.AsString()), name)
	case high <= low:
		d.errorf(at, "Invalid range", "The range %s does not go up. Write the lower port first, and a single port as a number.", quote(v.AsString()))
	case high-low >= maxRangePorts:
		d.errorf(at, "Too many ports", "The range %s has %d ports, and ranges publish %d at most. Write a smaller one.", quote(v.AsString()), high-low+1, maxRangePorts)
	default:
		return uint16(low), uint16(high - low + 1), at, true
	}
	return 0, 0, at, true
}

// last returns the last port of the host's side.
func (p Publish) last() uint16 { return p.Host + max(p.Count, 1) - 1 }

// Each yields the published ports one by one, each as if it had a block of its own.
func (p Publish) Each() iter.Seq[Publish] {
	return func(yield func(Publish) bool) {
		for i := range max(p.Count, 1) {
			one := p
			one.Host, one.Port, one.Count = p.Host+i, p.Port+i, 0
			if !yield(one) {
				return
			}
		}
	}
}

// overlaps reports whether the two exclude each other on one host.
func (p Publish) overlaps(other Publish) bool {
	return p.Host <= other.last() && other.Host <= p.last() && p.Protocol == other.Protocol &&
		(p.Address == other.Address || p.Address == "" || other.Address == "")
}

// shared returns the first port of the host that both publish.
func (p Publish) shared(other Publish) string { return fmt.Sprint(max(p.Host, other.Host)) }

// HostText returns the host's port or ports: "8443", "10000-10100".
func (p Publish) HostText() string { return rangeText(p.Host, p.Count) }

// PortText returns the ambassador's port or ports.
func (p Publish) PortText() string { return rangeText(p.Port, p.Count) }

func rangeText(first, count uint16) string {
	if count > 1 {
		return fmt.Sprintf("%d-%d", first, first+count-1)
	}
	return fmt.Sprint(first)
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
