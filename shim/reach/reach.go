// Package reach computes what a definition lets through the group's border, and what a change of it
// opens or closes. It compares definitions alone. Rules that others have changed on the host are
// not in it.
package reach

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// A path is one way for packets: out of the group, into it, or from members to the ambassador
// without being sent to it. The last kind, and what is given up, has only a text.
type path struct {
	who  string // "proxy (ambassador)"
	in   string // the port of the host that leads to who; empty for a way out
	port string // of who, for a way in: "443", "10000-10100"
	// to is the destination as in the group file, for a way out. Empty means anywhere but the
	// reserved prefixes, the host and other groups.
	to string

	// Out, with a destination.
	prefix   netip.Prefix
	destPort uint16
	protocol string

	text string // in words; then all else is empty
}

// Difference returns what may pass the border after a change and could not before, and the reverse,
// in an operator's words. A nil group does not exist.
func Difference(before, after *spec.Group) (opens, closes []string) {
	old, now := paths(before), paths(after)
	wider, narrower := limitChanges(before, after)
	return append(uncovered(now, old), wider...), append(uncovered(old, now), narrower...)
}

// paths lists the ways through the group's border. A nil group has none.
func paths(g *spec.Group) []path {
	if g == nil {
		return nil
	}
	var out []path
	if g.Egress == spec.EgressDirect {
		for i := range g.Containers {
			out = append(out, path{who: g.Containers[i].Title()})
		}
	}
	a := g.Ambassador()
	if a == nil {
		return out
	}
	who := a.Title()
	if g.Egress == spec.EgressAmbassador {
		out = append(out, allowed(who, a.Allow)...)
		out = append(out, textPaths(g, a)...)
	}
	if g.Egress != spec.EgressNone {
		for _, p := range a.Publish {
			out = append(out, path{who: who, in: p.HostPort(), port: p.PortText()})
		}
	}
	return out
}

// textPaths lists how members' packets come to the ambassador without being sent to it, who may
// ping, and what is given up.
func textPaths(g *spec.Group, a *spec.Container) []path {
	var out []path
	if a.Intercept != 0 {
		out = append(out, path{text: a.InterceptText()})
	}
	if a.PingGroups != "" {
		out = append(out, path{text: a.PingText()})
	}
	if g.DNS == spec.DNSAmbassador {
		out = append(out, path{text: "members' questions for names go to " + a.Name})
	}
	for _, text := range Unsafe(g) {
		out = append(out, path{text: "unsafe: " + text})
	}
	return out
}

// allowed lists the ways out by an allow list. A nil list is one way, to anywhere. An empty one is
// none.
func allowed(who string, allow spec.AllowList) []path {
	if allow == nil {
		return []path{{who: who}}
	}
	var out []path
	for _, a := range allow {
		prefix, err := netip.ParsePrefix(a.Prefix)
		if err != nil {
			prefix = netip.Prefix{} // covered by nothing, so it is shown
		}
		out = append(out, path{who: who, to: a.String(), prefix: prefix, destPort: a.Port, protocol: a.Protocol})
	}
	return out
}

// uncovered returns the paths that none of the others covers, in words.
func uncovered(paths, others []path) []string {
	var out []string
	for _, p := range paths {
		if !slices.ContainsFunc(others, func(o path) bool { return o.covers(p) }) {
			out = append(out, p.String())
		}
	}
	return out
}

// covers reports whether everything that passes by other also passes by p.
func (p path) covers(other path) bool {
	if p.text != "" || other.text != "" {
		return p == other
	}
	if p.who != other.who || p.in != other.in || p.port != other.port {
		return false
	}
	switch {
	case p.in != "", p == other:
		return true
	case p.to == "":
		return other.to != "" && !Reserved(other.prefix)
	case other.to == "":
		return false
	}
	return p.prefix.IsValid() && other.prefix.IsValid() && p.prefix.Bits() <= other.prefix.Bits() &&
		p.prefix.Contains(other.prefix.Addr()) && p.protocol == other.protocol && (p.destPort == 0 || p.destPort == other.destPort)
}

// Reserved reports whether p overlaps a reserved prefix. An ambassador may reach those only if its
// allow list names them.
func Reserved(p netip.Prefix) bool {
	return !p.IsValid() || slices.ContainsFunc(spec.ReservedPrefixes(), p.Overlaps)
}

// String returns the path in an operator's words.
func (p path) String() string {
	switch {
	case p.text != "":
		return p.text
	case p.in != "":
		return fmt.Sprintf("the world may reach port %s of %s through %s of the host", p.port, p.who, p.in)
	case p.to == "":
		return p.who + " may reach any address of the world"
	default:
		return p.who + " may reach " + p.to
	}
}

// givenUp describes what an operator gives up with a capability. Plan, status and doctor print it.
var givenUp = map[string]string{
	"NET_ADMIN": "it can change the group's rules; what keeps members in is the fence alone",
	"NET_RAW":   "it sees what members send on loopback, and sends packets of any form",
}

// Unsafe returns what is given up in a group, one line for each capability and for each device that
// may be a modem. It is nil if nothing is.
func Unsafe(g *spec.Group) []string {
	var out []string
	if a := g.Ambassador(); a != nil {
		for _, name := range a.Unsafe.Capabilities {
			out = append(out, a.Title()+" has "+name+": "+givenUp[name])
		}
	}
	for _, c := range g.Containers {
		for _, d := range c.Devices {
			if d.Unsafe {
				out = append(out, c.Title()+" has the device "+d.Path+": if that is a modem, it leads out past every rule")
			}
		}
	}
	return out
}
