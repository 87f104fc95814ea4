package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A HostLink is the host's end of a link.
type HostLink struct{ Name, Alias string }

// Links lists the host's links whose alias has the prefix.
func Links(aliasPrefix string) ([]HostLink, error) {
	all, err := Dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var out []HostLink
	for _, l := range all {
		if a := l.Attrs(); strings.HasPrefix(a.Alias, aliasPrefix) {
			out = append(out, HostLink{a.Name, a.Alias})
		}
	}
	return out, nil
}

// LinkAddresses returns the addresses of one of the host's links, and whether it exists.
func LinkAddresses(name string) (addrs []netip.Addr, exists bool, err error) {
	host, err := readEnd()
	if err != nil {
		return nil, false, err
	}
	defer host.Close()
	link, err := host.find(name)
	if err != nil {
		return nil, false, fmt.Errorf("find link %q: %w", name, err)
	}
	if link.Link == nil {
		return nil, false, nil
	}
	list, err := host.addrs(link)
	if err != nil {
		return nil, true, fmt.Errorf("list addresses of link %q: %w", name, err)
	}
	for _, a := range list {
		addrs = append(addrs, addrOf(a))
	}
	return addrs, true, nil
}

// Addresses returns the addresses of all the host's links.
func Addresses() ([]netip.Addr, error) {
	list, err := Dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := make([]netip.Addr, len(list))
	for i, a := range list {
		out[i] = addrOf(a)
	}
	return out, nil
}

// Routes lists the destinations of the host's routes, without those of links whose alias has the
// prefix.
func Routes(exceptAlias string) ([]netip.Prefix, error) {
	links, err := Dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	ours := map[int]bool{}
	for _, l := range links {
		ours[l.Attrs().Index] = strings.HasPrefix(l.Attrs().Alias, exceptAlias)
	}
	routes, err := Dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var out []netip.Prefix
	for _, r := range routes {
		if ours[r.LinkIndex] || r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		if ones, _ := r.Dst.Mask.Size(); ok {
			out = append(out, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return out, nil
}

// HasRoute reports whether the host has a route to an address. It asks the kernel for one route, so
// the number of routes does not matter.
func HasRoute(to netip.Addr) (bool, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return false, nil // no route, or one of the types that refuse: unreachable, prohibit, blackhole
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil // the kernel lacks the family
	case err != nil:
		return false, fmt.Errorf("find the route to %s: %w", to, err)
	}
	return len(routes) > 0, nil
}

// A LocalRoute is a route of the kernel's own table for addresses that are not those of one other
// host.
type LocalRoute struct {
	Prefix netip.Prefix
	Type   int // unix.RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST or RTN_MULTICAST
}

// LocalRoutes lists the routes of the kernel's own table.
func LocalRoutes() ([]LocalRoute, error) {
	only := &netlink.Route{Table: unix.RT_TABLE_LOCAL}
	routes, err := Dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, only, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list local routes: %w", err)
	}
	var out []LocalRoute
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
		default:
			continue
		}
		if r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		if ones, _ := r.Dst.Mask.Size(); ok {
			out = append(out, LocalRoute{netip.PrefixFrom(addr.Unmap(), ones), r.Type})
		}
	}
	return out, nil
}
