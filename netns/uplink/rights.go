package uplink

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// rights are the table as a value: the elements of its sets, and the constants of its rules. They
// answer for a flow what the rules answer for its first packet.
type rights struct {
	config   Config
	links    map[netip.Addr]string // of a group's address
	elements elements
	// judged are further addresses that belonged to groups. No group may use one now.
	judged map[netip.Addr]bool
	local  []netns.LocalRoute // the host's own addresses, anycast, broadcast and multicast
}

func createRights(c Config, e elements, judged []netip.Addr, local []netns.LocalRoute) rights {
	r := rights{config: c, links: map[netip.Addr]string{}, elements: e, judged: map[netip.Addr]bool{}, local: local}
	for _, set := range []string{source4, source6} {
		for _, x := range e[set] {
			r.links[sourceOf(x)] = linkOf(x.Key)
		}
	}
	for _, a := range judged {
		r.judged[a] = true
	}
	return r
}

// sourceOf returns the address of an element of the sets of sources.
func sourceOf(x nftables.SetElement) netip.Addr {
	a, _ := netip.AddrFromSlice(x.Key[16:])
	return a
}

// refuse reports whether the rules refuse a flow: whether its first packet would not pass now. A
// flow that no group has part in is never refused.
func (r rights) refuse(f conntrack.Flow) bool {
	link, ours := r.group(f.From.Addr())
	if ours && (link == "" || !r.mayOpen(link, f)) {
		return true
	}
	link, ours = r.group(f.Answers.Addr())
	return ours && (link == "" || !r.published(f))
}

// group returns the link of a group's address, and whether the address is or was a group's. An
// address that was has no link.
func (r rights) group(a netip.Addr) (link string, ours bool) {
	link, ours = r.links[a]
	return link, ours || r.judged[a]
}

// mayOpen is chain from_groups for the first packet of a flow.
func (r rights) mayOpen(link string, f conntrack.Flow) bool {
	name, to := ruleset.InterfaceName(link), f.To.Addr()
	if slices.ContainsFunc(r.elements[restricted], func(x nftables.SetElement) bool { return linkOf(x.Key) == link }) {
		host := ruleset.Key(name, to.AsSlice(), []byte{f.Protocol})
		port := ruleset.Key(name, to.AsSlice(), []byte{f.Protocol}, ruleset.Port(f.To.Port()))
		return r.holds(pick(to, allowed.Host4, allowed.Host6), host, to) || r.holds(pick(to, allowed.Port4, allowed.Port6), port, to)
	}
	for _, p := range slices.Concat(r.config.Reserved, r.config.prefixes()) {
		if p.IsValid() && p.Contains(to) {
			return false
		}
	}
	return r.isUnicast(to)
}

// holds reports whether a set of ranges holds a key, in which the address follows the link's name.
// The kernel compares field by field.
func (r rights) holds(set string, key []byte, addr netip.Addr) bool {
	from, to := 16, 16+addr.BitLen()/8
	return slices.ContainsFunc(r.elements[set], func(x nftables.SetElement) bool {
		return bytes.Equal(x.Key[:from], key[:from]) && bytes.Equal(x.Key[to:], key[to:]) &&
			bytes.Compare(x.Key[from:to], key[from:to]) <= 0 && bytes.Compare(key[from:to], x.KeyEnd[from:to]) <= 0
	})
}

// published reports whether the destination of a flow is a published port that leads to the end
// that answers. Only the host itself reaches one at a loopback address, and none at ::1.
func (r rights) published(f conntrack.Flow) bool {
	to := f.To.Addr()
	if f.To == f.Answers || to.Is6() && to.IsLoopback() || to.IsLoopback() && !r.isHost(f.From.Addr()) {
		return false
	}
	key := ruleset.Key([]byte{f.Protocol}, ruleset.Port(f.To.Port()))
	leads, ok := find(r.elements[pick(to, publishAt4, publishAt6)], append(to.AsSlice(), key...))
	if !ok {
		leads, ok = find(r.elements[pick(to, publish4, publish6)], key)
	}
	return ok && bytes.Equal(leads, ruleset.Key(f.Answers.Addr().AsSlice(), ruleset.Port(f.Answers.Port())))
}

func find(in []nftables.SetElement, key []byte) (value []byte, ok bool) {
	i := slices.IndexFunc(in, func(x nftables.SetElement) bool { return bytes.Equal(x.Key, key) })
	if i < 0 {
		return nil, false
	}
	return in[i].Val, true
}

// isHost reports whether an address is the host's own.
func (r rights) isHost(a netip.Addr) bool {
	return a.IsLoopback() || slices.ContainsFunc(r.local, func(l netns.LocalRoute) bool { return l.Type == unix.RTN_LOCAL && l.Prefix.Contains(a) })
}

// isUnicast reports whether an address belongs to one other host.
func (r rights) isUnicast(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) &&
		!slices.ContainsFunc(r.local, func(l netns.LocalRoute) bool { return l.Prefix.Contains(a) })
}
