package reach

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// A door is one way through the group's border: who, which way, and to or from where.
type door struct {
	who  string // "proxy (ambassador)"
	in   string // the host's port that leads to who; empty: a way out
	port uint16 // in: who's port
	to   string // out: the destination as the group file has it; empty: anywhere but metadata, the host and other groups

	// Out, with a destination.
	prefix   netip.Prefix
	destPort uint16
	protocol string

	said string // a way of another kind, in words, or what is given up; all else is then empty
}

// Difference says in an operator's words what may pass the border after a change that could not before, and the reverse.
// nil is a group that does not exist.
func Difference(before, after *spec.Group) (opens, closes []string) {
	old, now := doors(before), doors(after)
	wider, narrower := bounds(before, after)
	return append(uncovered(now, old), wider...), append(uncovered(old, now), narrower...)
}

// doors lists the ways through the group's border.
func doors(g *spec.Group) []door {
	if g == nil {
		return nil
	}
	var out []door
	if g.Egress == spec.EgressDirect {
		for i := range g.Containers {
			out = append(out, door{who: g.Containers[i].Title()})
		}
	}
	a := g.Ambassador()
	if a == nil {
		return out
	}
	who := a.Title()
	if g.Egress == spec.EgressAmbassador {
		out = append(out, exits(who, a.Allow)...)
		out = append(out, waysIn(g, a)...)
	}
	if g.Egress != spec.EgressNone {
		for _, p := range a.Publish {
			out = append(out, door{who: who, in: p.HostPort(), port: p.Port})
		}
	}
	return out
}

// waysIn are the ways by which members' packets come to the ambassador without having been sent to it, and what is given up.
func waysIn(g *spec.Group, a *spec.Container) []door {
	var out []door
	if a.Intercept != 0 {
		out = append(out, door{said: a.InterceptText()})
	}
	if g.DNS == spec.DNSAmbassador {
		out = append(out, door{said: "members' questions for names go to " + a.Name})
	}
	for _, text := range Unsafe(g) {
		out = append(out, door{said: "unsafe: " + text})
	}
	return out
}

func exits(who string, allow []spec.Allow) []door {
	if allow == nil {
		return []door{{who: who}}
	}
	var out []door
	for _, a := range allow {
		prefix, err := netip.ParsePrefix(a.Prefix)
		if err != nil {
			prefix = netip.Prefix{} // covered by nothing, so it is shown
		}
		out = append(out, door{who: who, to: a.String(), prefix: prefix, destPort: a.Port, protocol: a.Protocol})
	}
	return out
}

// uncovered are the doors that none of the others covers.
func uncovered(doors, others []door) []string {
	var out []string
	for _, d := range doors {
		if !slices.ContainsFunc(others, func(o door) bool { return o.covers(d) }) {
			out = append(out, d.String())
		}
	}
	return out
}

// covers says that whatever passes through other passes through d.
func (d door) covers(other door) bool {
	if d.said != "" || other.said != "" {
		return d == other
	}
	if d.who != other.who || d.in != other.in || d.port != other.port {
		return false
	}
	switch {
	case d.in != "", d == other:
		return true
	case d.to == "":
		return other.to != "" && !Reserved(other.prefix)
	case other.to == "":
		return false
	}
	return d.prefix.IsValid() && other.prefix.IsValid() && d.prefix.Bits() <= other.prefix.Bits() &&
		d.prefix.Contains(other.prefix.Addr()) && d.protocol == other.protocol && (d.destPort == 0 || d.destPort == other.destPort)
}

// Reserved reports whether an ambassador whose allow does not name p is denied some of it.
func Reserved(p netip.Prefix) bool {
	return !p.IsValid() || slices.ContainsFunc(spec.ReservedPrefixes(), p.Overlaps)
}

// String is the door in an operator's words.
func (d door) String() string {
	switch {
	case d.said != "":
		return d.said
	case d.in != "":
		return fmt.Sprintf("the world may reach port %d of %s through %s of the host", d.port, d.who, d.in)
	case d.to == "":
		return d.who + " may reach any address of the world"
	default:
		return d.who + " may reach " + d.to
	}
}
