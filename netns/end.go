package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

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

// A foundLink is a link with the kind of its queue. An empty kind is not known.
type foundLink struct {
	netlink.Link
	queue string
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
		if a.Attr.Type == unix.IFLA_QDISC {
			l.queue = unix.ByteSliceToString(a.Value)
		}
	}
	l.Link, err = netlink.LinkDeserialize(nil, msgs[0])
	return l, err
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

// neighbours lists the neighbours of the link.
func (e end) neighbours(link netlink.Link) ([]netlink.Neigh, error) {
	if e.alone == nil {
		return Dump(func() ([]netlink.Neigh, error) { return e.NeighList(link.Attrs().Index, netlink.FAMILY_ALL) })
	}
	msgs, err := Dump(func() ([][]byte, error) { return e.askNeighbours(link) })
	if err != nil {
		return nil, err
	}
	var out []netlink.Neigh
	for _, m := range msgs {
		n, err := netlink.NeighDeserialize(m)
		if err != nil {
			return nil, fmt.Errorf("read a neighbour: %w", err)
		}
		out = append(out, *n)
	}
	return out, nil
}

// askNeighbours names the link in an attribute. The kernel does not look at the header for it
// (neigh_valid_dump_req in net/core/neighbour.c).
func (e end) askNeighbours(link netlink.Link) ([][]byte, error) {
	index := binary.NativeEndian.AppendUint32(nil, uint32(link.Attrs().Index))
	return e.ask(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, unix.NLM_F_DUMP, &netlink.Ndmsg{}, nl.NewRtAttr(unix.NDA_IFINDEX, index))
}
