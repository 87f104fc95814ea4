package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/spec"
)

// PublishNotes returns why callers of a group's published ports get no answer, as far as it can be
// seen: the host has not the address, or no process listens in the group. It looks at TCP alone for
// the latter, and only if listens is true. What can't be looked at has no note.
func (n *Network) PublishNotes(group string, published []spec.Publish, listens bool) []string {
	var at []netip.AddrPort
	var err error
	if listens && len(published) > 0 {
		at, err = netns.Listeners(n.layout.NetnsPath(group))
	}
	local, errLocal := netns.Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	return publishNotes(published, prefixesOf(local), errLocal == nil, at, listens && err == nil)
}

// publishNotes returns the notes. The host's addresses and the listeners count if they are known.
func publishNotes(published []spec.Publish, local []netip.Prefix, localKnown bool, listeners []netip.AddrPort, listenersKnown bool) (notes []string) {
	for _, p := range published {
		if note := p.AddressNote(func(a netip.Addr) bool { return !localKnown || isLocal(a, local) }); note != "" {
			notes = append(notes, note)
		}
		if p.Protocol == "tcp" && listenersKnown {
			if why := unserved(p, listeners); why != "" {
				notes = append(notes, fmt.Sprintf("publish %q: %s", p.Name, why))
			}
		}
	}
	return notes
}

// isLocal reports whether packets to the address come to this host. All of 127.0.0.0/8 does.
func isLocal(addr netip.Addr, local []netip.Prefix) bool {
	return slices.ContainsFunc(local, func(p netip.Prefix) bool {
		return p.Addr() == addr || addr.Is4() && addr.IsLoopback() && p.Contains(addr)
	})
}

// unserved returns why no caller of a published port is served, or "". One port of a range is
// enough.
func unserved(p spec.Publish, listeners []netip.AddrPort) string {
	inside := false
	for _, l := range listeners {
		switch {
		case l.Port() < p.Port || int(l.Port()) >= int(p.Port)+max(int(p.Count), 1):
		case l.Addr().IsLoopback():
			inside = true
		default:
			return ""
		}
	}
	if inside {
		return fmt.Sprintf("in the group, port %s/tcp has a listener at the loopback address alone, where no caller from outside comes; let it listen on all addresses", p.PortText())
	}
	return fmt.Sprintf("in the group, no process listens on port %s/tcp", p.PortText())
}

func prefixesOf(addrs []netlink.Addr) (all []netip.Prefix) {
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.IPNet.String()); err == nil {
			all = append(all, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
		}
	}
	return all
}
