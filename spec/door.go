package spec

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds on a quota.
const (
	minQuota = mebibyte
	maxQuota = 1 << 50
)

// dnsPort is the port at which the ambassador answers the members' DNS queries.
const dnsPort = 53

// door reads everything that only an ambassador has.
func (d *groupDecoder) door(block *hclsyntax.Block) Door {
	r := d.in(block)
	door := Door{
		Upstreams: d.upstreams(block),
		Publish:   d.published[block],
		Allow:     d.allow(r),
	}
	door.Intercept = d.intercept(block, door)
	door.Rate = d.rate(block)
	door.Quota = d.quota(r)
	door.Unsafe = d.unsafe(block)
	return door
}

// Fixed returns the part of the door that can't change while the ambassador runs.
// Members alone look upstreams up by their hosts, so those are left out too.
func (d Door) Fixed() Door {
	d.Upstreams = slices.Clone(d.Upstreams)
	for i := range d.Upstreams {
		d.Upstreams[i].Hosts = nil
	}
	d.Publish, d.Allow, d.Intercept, d.Rate, d.Quota, d.PingGroups = nil, nil, 0, Rate{}, 0, ""
	return d
}

// AmbassadorPorts returns the ports that the file gives to the ambassador: published ones, those of
// upstreams, that of `intercept`, and port 53 if it answers DNS queries. They may repeat.
func (g *Group) AmbassadorPorts() []uint16 {
	a := g.Ambassador()
	if a == nil {
		return nil
	}
	var ports []uint16
	for _, p := range a.Publish {
		for one := range p.Each() {
			ports = append(ports, one.Port)
		}
	}
	for _, u := range a.Upstreams {
		ports = append(ports, u.Listen)
	}
	if a.Intercept != 0 {
		ports = append(ports, a.Intercept)
	}
	if g.DNS == DNSAmbassador {
		ports = append(ports, dnsPort)
	}
	return ports
}

// Shown returns the part of the door that a group's status shows. The status has a text for what
// Unsafe gives up.
func (d Door) Shown() Door {
	d.Upstreams, d.Allow, d.Unsafe, d.PingGroups = nil, nil, Unsafe{}, ""
	return d
}

// A DoorLimit is one limit on what passes the door.
type DoorLimit struct {
	Verb  string // the limited activity of the ambassador: "send"
	Value int64  // 0: no limit
	Text  string // the value in words: "2Mbit a second"
}

// Limits returns the limits on what passes the door: always all of them, in the same order. The
// Value of an absent one is 0.
func (d Door) Limits() []DoorLimit {
	return []DoorLimit{
		{"send", d.Rate.Out, FormatRate(d.Rate.Out) + " a second"},
		{"receive", d.Rate.In, FormatRate(d.Rate.In) + " a second"},
		{"exchange", d.Quota, FormatSize(d.Quota)},
	}
}

// intercept reads the ambassador's port to which the members' outbound TCP is led.
func (d *groupDecoder) intercept(block *hclsyntax.Block, door Door) uint16 {
	inner := single(block, "intercept")
	if inner == nil {
		return 0
	}
	port, at, ok := d.in(inner).port("port")
	if !ok {
		return 0
	}
	const alone = "Intercepted calls have to be passed on to their destinations"
	if d.dns == DNSAmbassador && port == dnsPort {
		d.errorf(at, "Port used twice", "On port %d the ambassador answers the members' questions for names. %s, so it needs a port of its own.", port, alone)
	}
	for _, u := range door.Upstreams {
		if u.Listen == port {
			d.errorf(at, "Port used twice", "The upstream %q listens on port %d. %s, and what is sent to an upstream was meant for the ambassador. Choose another port.", u.Name, port, alone)
		}
	}
	for _, p := range door.Publish {
		if p.Port == port && p.Protocol == "tcp" {
			d.errorf(at, "Port used twice", "The publish %q leads the world to port %d. %s, and the world's callers meant the ambassador: it would call itself. Choose another port.", p.Name, port, alone)
		}
	}
	return port
}

// quota reads how many bytes may pass the door.
func (d *groupDecoder) quota(r reader) int64 {
	bytes, _ := r.size("quota", minQuota, maxQuota)
	return bytes
}

// undone is why a door's attributes have no effect, by the group's egress.
var undone = map[Egress]string{
	EgressNone:   `with egress = "none" nothing leaves the group, so nothing passes a door`,
	EgressDirect: `with egress = "direct" every container leaves by itself, so the group has no door`,
}

// checkDoor reports attributes of the door in a group without one.
func (d *groupDecoder) checkDoor(group *hclsyntax.Block, e Egress) {
	why := undone[e]
	if why == "" {
		return
	}
	refuse := func(name string, at hcl.Range) {
		d.errorf(at, "No door for "+name, "%q acts on what passes the group's door, and %s. Remove it, or the egress line.", name, why)
	}
	if d.pings != nil {
		refuse(PingSysctl, *d.pings)
	}
	for _, door := range blocksOf(group.Body, string(Ambassador)) {
		for _, name := range []string{"intercept", "rate"} {
			if b := single(door, name); b != nil {
				refuse(name, b.DefRange())
			}
		}
		if a := door.Body.Attributes["quota"]; a != nil {
			refuse("quota", a.NameRange)
		}
	}
}

// doorOnly returns why a member doesn't have an attribute of the ambassador, as the end of a
// sentence.
func doorOnly(name string) string {
	switch name {
	case "unsafe":
		return "a member has nothing to give up: with NET_ADMIN or NET_RAW it could leave the group around the ambassador, and the group's promise is that no member can. Let the ambassador do what needs them."
	case "intercept":
		return "members' TCP can only be led to the ambassador, because no other container can pass it on. Move it to the group's ambassador block."
	case "rate", "quota":
		return "it limits the group's door, and a member has none. A member's packets go through the ambassador, or with egress = \"direct\" past every door. Move it to the group's ambassador block."
	}
	return "a member has no way in or out of its group: only the ambassador has. Move it to the group's ambassador block."
}
