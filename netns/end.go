package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// An end is where one end of a link is asked about and changed. The host has the ends of all
// groups, so a list of all addresses or neighbours there grows with each group. The kernel is
// asked for those of one link instead, where it can do that (4.20, NETLINK_GET_STRICT_CHK).
type end struct {
	*netlink.Handle
	// alone asks about one link. Nil: everything is listed, in a group's namespace, which has one
	// link, and with an older kernel.
	alone *asker
}

// hostEnd opens the end in the calling thread's namespace, to change it. The caller closes it.
func hostEnd() (end, error) {
	e, err := readEnd()
	if err == nil && e.Handle == nil {
		if e.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			e.Close()
		}
	}
	return e, err
}

// readEnd opens the end in the calling thread's namespace, to read it alone. It has no Handle where
// the kernel can be asked for one link. The caller closes it.
func readEnd() (e end, err error) {
	e.alone, err = openAsker()
	if errors.Is(err, errNotStrict) {
		e.Handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	return e, err
}

// groupEnd opens the end in a namespace, to change it. The caller closes it.
func groupEnd(ns vnetns.NsHandle) (end, error) {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	return end{Handle: h}, err
}

// Close closes the sockets.
func (e end) Close() {
	if e.Handle != nil {
		e.Handle.Close()
	}
	if e.alone != nil {
		e.alone.close()
	}
}

// ask sends a request about one link, and returns the messages of the answer. A link that is gone
// has none.
func (e end) ask(get, answer uint16, flags int, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	req := nl.NewNetlinkRequest(int(get), flags)
	for _, p := range parts {
		req.AddData(p)
	}
	msgs, err := e.alone.ask(req, answer)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return msgs, err
}

// A foundLink is a link with the kind of its queue and its sysctls. An empty kind is not known.
type foundLink struct {
	netlink.Link
	queue   string
	sysctls map[string]string // those that came with it; see parseLinkSysctls
}

// find returns the link of that name. It has no Link if there is none.
func (e end) find(name string) (l foundLink, err error) {
	if e.alone == nil {
		if l.Link, err = e.LinkByName(name); isLinkNotFound(err) {
			return foundLink{}, nil
		}
		return l, err
	}
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	withoutCounts := nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats))
	msgs, err := e.ask(unix.RTM_GETLINK, unix.RTM_NEWLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)), withoutCounts)
	if err != nil || len(msgs) == 0 {
		return l, err
	}
	attrs, err := nl.ParseRouteAttr(msgs[0][unix.SizeofIfInfomsg:])
	if err != nil {
		return l, err
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_QDISC:
			l.queue = unix.ByteSliceToString(a.Value)
		case unix.IFLA_AF_SPEC:
			if l.sysctls, err = parseLinkSysctls(name, a.Value); err != nil {
				return l, fmt.Errorf("read the sysctls of %s: %w", name, err)
			}
		}
	}
	l.Link, err = netlink.LinkDeserialize(nil, msgs[0])
	return l, err
}

// hasSysctls is the function of that name, for sysctls of the link. Those that did not come with it
// are read from their files.
func (l foundLink) hasSysctls(want []sysctl) (bool, error) {
	var left []sysctl
	for _, s := range want {
		switch got, ok := l.sysctls[s.key]; {
		case !ok:
			left = append(left, s)
		case got != s.value:
			return false, nil
		}
	}
	return hasSysctls(left)
}

// These are the places of sysctls in the kernel's lists (include/uapi/linux/ip.h and ipv6.h).
const (
	routeLocalnetAt = 25 // IPV4_DEVCONF_ROUTE_LOCALNET - 1
	acceptRAAt      = 3  // DEVCONF_ACCEPT_RA
)

// parseLinkSysctls returns the values of sysctls by their keys below /proc/sys/net, from the
// IFLA_AF_SPEC of the link of that name. Their files take longer to open with each group: the
// folder /proc/sys/net/ipv4 of each namespace is another entry of one list.
func parseLinkSysctls(name string, spec []byte) (map[string]string, error) {
	out := map[string]string{}
	families, err := nl.ParseRouteAttr(spec)
	if err != nil {
		return nil, err
	}
	for _, f := range families {
		values, err := nl.ParseRouteAttr(f.Value)
		if err != nil {
			return nil, err
		}
		number := func(key string, list []byte, at int) {
			if len(list) >= 4*(at+1) {
				out[key] = strconv.Itoa(int(int32(nl.NativeEndian().Uint32(list[4*at:]))))
			}
		}
		for _, v := range values {
			switch kind := v.Attr.Type; {
			case f.Attr.Type == unix.AF_INET && kind == unix.IFLA_INET_CONF:
				number("ipv4/conf/"+name+"/route_localnet", v.Value, routeLocalnetAt)
			case f.Attr.Type == unix.AF_INET6 && kind == unix.IFLA_INET6_CONF:
				number("ipv6/conf/"+name+"/accept_ra", v.Value, acceptRAAt)
			case f.Attr.Type == unix.AF_INET6 && kind == unix.IFLA_INET6_ADDR_GEN_MODE && len(v.Value) > 0:
				out["ipv6/conf/"+name+"/addr_gen_mode"] = strconv.Itoa(int(v.Value[0]))
			}
		}
	}
	return out, nil
}

// routes lists the routes of the main table.
func (e end) routes() ([]netlink.Route, error) {
	if e.alone == nil {
		return Dump(func() ([]netlink.Route, error) { return e.RouteList(nil, netlink.FAMILY_ALL) })
	}
	msgs, err := Dump(func() ([][]byte, error) {
		return e.ask(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, unix.NLM_F_DUMP, &nl.RtMsg{})
	})
	if err != nil {
		return nil, err
	}
	var out []netlink.Route
	for _, m := range msgs {
		r, ok, err := parseRoute(m)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// parseRoute returns the route in a message, without what no caller needs. ok is false for a route
// of another table or family, and for one that the kernel has derived.
func parseRoute(m []byte) (r netlink.Route, ok bool, err error) {
	msg := nl.DeserializeRtMsg(m)
	bits := map[uint8]int{unix.AF_INET: 32, unix.AF_INET6: 128}[msg.Family]
	if bits == 0 || msg.Table != unix.RT_TABLE_MAIN || msg.Flags&unix.RTM_F_CLONED != 0 {
		return r, false, nil
	}
	attrs, err := nl.ParseRouteAttr(m[msg.Len():])
	if err != nil {
		return r, false, fmt.Errorf("read a route: %w", err)
	}
	to := make(net.IP, bits/8) // without a destination it is the default route
	r.Type = int(msg.Type)
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_DST:
			to = a.Value
		case unix.RTA_GATEWAY:
			r.Gw = a.Value
		case unix.RTA_OIF:
			r.LinkIndex = int(nl.NativeEndian().Uint32(a.Value))
		}
	}
	r.Dst = &net.IPNet{IP: to, Mask: net.CIDRMask(int(msg.Dst_len), bits)}
	return r, true, nil
}

// addrs lists the addresses of the link.
func (e end) addrs(link netlink.Link) ([]netlink.Addr, error) {
	if e.alone == nil {
		return Dump(func() ([]netlink.Addr, error) { return e.AddrList(link, netlink.FAMILY_ALL) })
	}
	msgs, err := Dump(func() ([][]byte, error) { return e.askAddrs(link) })
	if err != nil {
		return nil, err
	}
	var out []netlink.Addr
	for _, m := range msgs {
		a, ok, err := parseAddr(m)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

func (e end) askAddrs(link netlink.Link) ([][]byte, error) {
	msg := nl.NewIfAddrmsg(netlink.FAMILY_ALL)
	msg.Index = uint32(link.Attrs().Index)
	return e.ask(unix.RTM_GETADDR, unix.RTM_NEWADDR, unix.NLM_F_DUMP, msg)
}

// parseAddr returns the address in a message. ok is false for another family's than IPv4 and IPv6.
// IPv4 has its own address in IFA_LOCAL, and a peer's in IFA_ADDRESS. IPv6 has the latter alone,
// unless it has a peer.
func parseAddr(m []byte) (a netlink.Addr, ok bool, err error) {
	msg := nl.DeserializeIfAddrmsg(m)
	if msg.Family != unix.AF_INET && msg.Family != unix.AF_INET6 {
		return a, false, nil
	}
	attrs, err := nl.ParseRouteAttr(m[msg.Len():])
	if err != nil {
		return a, false, fmt.Errorf("read an address: %w", err)
	}
	values := map[uint16][]byte{}
	for _, attr := range attrs {
		values[attr.Attr.Type] = attr.Value
	}
	ip, peer := values[unix.IFA_LOCAL], values[unix.IFA_ADDRESS]
	if ip == nil {
		ip, peer = peer, nil
	}
	a = netlink.Addr{LinkIndex: int(msg.Index), Scope: int(msg.Scope)}
	whole := func(ip []byte, ones int) *net.IPNet { return &net.IPNet{IP: ip, Mask: net.CIDRMask(ones, 8*len(ip))} }
	if a.IPNet = whole(ip, int(msg.Prefixlen)); peer != nil && !a.IP.Equal(peer) {
		a.IPNet, a.Peer = whole(ip, 8*len(ip)), whole(peer, int(msg.Prefixlen))
	}
	return a, ip != nil, nil
}

// neighbour returns the link's neighbour with an address. ok is false if there is none.
func (e end) neighbour(link netlink.Link, a netip.Addr) (n netlink.Neigh, ok bool, err error) {
	if e.alone == nil {
		all, err := Dump(func() ([]netlink.Neigh, error) { return e.NeighList(link.Attrs().Index, netlink.FAMILY_ALL) })
		i := slices.IndexFunc(all, func(n netlink.Neigh) bool { return n.IP.Equal(a.AsSlice()) })
		if err != nil || i < 0 {
			return n, false, err
		}
		return all[i], true, nil
	}
	// The kernel has one list of neighbours for all namespaces, so a list of a link's neighbours
	// takes longer with each group.
	family := uint8(unix.AF_INET)
	if a.Is6() {
		family = unix.AF_INET6
	}
	about := &netlink.Ndmsg{Family: family, Index: uint32(link.Attrs().Index)}
	msgs, err := e.ask(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, 0, about, nl.NewRtAttr(unix.NDA_DST, a.AsSlice()))
	if errors.Is(err, unix.ENOENT) {
		return n, false, nil
	}
	if err != nil || len(msgs) == 0 {
		return n, false, err
	}
	found, err := netlink.NeighDeserialize(msgs[0])
	if err != nil {
		return n, false, fmt.Errorf("read a neighbour: %w", err)
	}
	return *found, true, nil
}
