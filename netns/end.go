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
	alone *nl.SocketHandle
}

// hostEnd opens the end in the calling thread's namespace. The caller closes it.
func hostEnd() (end, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return end{}, err
	}
	s, err := nl.GetNetlinkSocketAt(vnetns.None(), vnetns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return end{}, err
	}
	if unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) != nil {
		s.Close()
		return end{Handle: h}, nil
	}
	e := end{h, &nl.SocketHandle{Socket: s}}
	if err := errors.Join(s.SetSendTimeout(&nl.SocketTimeoutTv), s.SetReceiveTimeout(&nl.SocketTimeoutTv)); err != nil {
		e.Close()
		return end{}, err
	}
	return e, nil
}

// groupEnd opens the end in a namespace. The caller closes it.
func groupEnd(ns vnetns.NsHandle) (end, error) {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	return end{Handle: h}, err
}

// Close closes the sockets.
func (e end) Close() {
	e.Handle.Close()
	if e.alone != nil {
		e.alone.Close()
	}
}

// ask sends a request about one link, and returns the messages of the answer. A link that is gone
// has none.
func (e end) ask(get, answer uint16, flags int, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	req := nl.NewNetlinkRequest(int(get), flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: e.alone}
	for _, p := range parts {
		req.AddData(p)
	}
	msgs, err := req.Execute(unix.NETLINK_ROUTE, answer)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return msgs, err
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
