package netns

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// applyLink makes the link or completes it. No step checks first: "exists" counts as done.
func applyLink(ns *os.File, l Link) error {
	if ok, err := linkAsWanted(ns, l); err != nil || ok {
		return err
	}
	host, err := hostEnd()
	if err != nil {
		return err
	}
	defer host.Close()
	group, err := groupEnd(vnetns.NsHandle(ns.Fd()))
	if err != nil {
		return err
	}
	defer group.Close()

	near, far, err := ensurePair(host, group, ns, l)
	if err != nil {
		return err
	}
	if err := ensureHostEnd(host, near, l); err != nil {
		return err
	}
	if err := ensureGroupEnd(group, far, l); err != nil {
		return err
	}
	if err := ensureNeighbours(host, near, l.Group, far.Attrs().HardwareAddr); err != nil {
		return err
	}
	return ensureNeighbours(group, far, l.Host, near.Attrs().HardwareAddr)
}

// ensurePair makes both ends in one request, the far one directly in the namespace. A near end
// whose peer is not this namespace's eth0 is a leftover and is deleted.
func ensurePair(host, group end, ns *os.File, l Link) (near, far netlink.Link, err error) {
	near, err = host.LinkByName(l.Name)
	if err == nil {
		far, err = group.LinkByName(PeerName)
		if err != nil && !isLinkNotFound(err) {
			return nil, nil, err // it may be its peer
		}
		if err == nil && near.Attrs().ParentIndex == far.Attrs().Index && far.Attrs().ParentIndex == near.Attrs().Index {
			return near, far, nil
		}
		if err := host.LinkDel(near); err != nil {
			return nil, nil, fmt.Errorf("delete leftover: %w", err)
		}
	} else if !isLinkNotFound(err) {
		return nil, nil, err
	}
	for index := 0; ; {
		if err := createPair(host, ns, l.Name, index); err != nil {
			return nil, nil, fmt.Errorf("create: %w", err)
		}
		if near, err = host.LinkByName(l.Name); err != nil {
			return nil, nil, err
		}
		if far, err = group.LinkByName(PeerName); err != nil {
			return nil, nil, err
		}
		// If both ends have the same index, the kernel takes each for a link without a peer, and
		// IPv6 learns of its carrier up to a second late. This happens on a host with only a
		// loopback: both namespaces count up from the same number.
		if near.Attrs().Index != far.Attrs().Index {
			return near, far, nil
		}
		index = near.Attrs().Index + 2
		if err := host.LinkDel(near); err != nil {
			return nil, nil, err
		}
	}
}

// createPair makes both ends. index is that of the near end; 0 means any. The near end gets its
// hardware address here: otherwise udev would change it shortly after the far end has recorded the
// first.
func createPair(host end, ns *os.File, name string, index int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index, attrs.HardwareAddr = name, index, hardwareAddr(name)
	return host.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: PeerName, PeerNamespace: netlink.NsFd(ns.Fd())})
}

// hardwareAddr returns a locally administered unicast address, derived from the link's name.
func hardwareAddr(name string) net.HardwareAddr {
	h := fnv.New64a()
	h.Write([]byte(name))
	sum := h.Sum(nil)
	return append(net.HardwareAddr{sum[0]&^0x01 | 0x02}, sum[1:6]...)
}

func ensureHostEnd(host end, near netlink.Link, l Link) error {
	if l.Alias != "" && near.Attrs().Alias != l.Alias {
		if err := host.LinkSetAlias(near, l.Alias); err != nil {
			return fmt.Errorf("set alias: %w", err)
		}
	}
	for _, s := range hostEndSysctls(l) {
		if err := WriteSysctl(s.key, s.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set net/%s: %w", s.key, err)
		}
	}
	if err := ensureAddrs(host, near, l.Host); err != nil {
		return err
	}
	if err := ensureRate(host.Handle, near, l.RateIn); err != nil {
		return err
	}
	if err := host.LinkSetUp(near); err != nil {
		return fmt.Errorf("raise: %w", err)
	}
	return nil
}

func hostEndSysctls(l Link) []sysctl {
	localnet := "0"
	if l.Localhost {
		localnet = "1"
	}
	return []sysctl{
		{"ipv6/conf/" + l.Name + "/addr_gen_mode", "1"},
		{"ipv6/conf/" + l.Name + "/accept_ra", "0"},
		{"ipv4/conf/" + l.Name + "/route_localnet", localnet},
	}
}

func ensureGroupEnd(group end, far netlink.Link, l Link) error {
	if err := ensureAddrs(group, far, l.Group); err != nil {
		return err
	}
	if err := ensureRate(group.Handle, far, l.RateOut); err != nil {
		return err
	}
	if err := group.LinkSetUp(far); err != nil {
		return fmt.Errorf("raise: %w", err)
	}
	for _, r := range routes(l, far.Attrs().Index) {
		if err := group.RouteReplace(&r); err != nil {
			return fmt.Errorf("add route %s: %w", r.Dst, err)
		}
	}
	return nil
}

// routes returns the namespace's routes: through the host to everywhere, but never to 127.0.0.0/8.
// A host with route_localnet on the link would accept packets to it. They do not bind a socket
// bound to eth0: the kernel looks for a route by that link alone, and finds the default route. The
// rules of both sides stop what such a socket sends to 127.0.0.0/8.
func routes(l Link, index int) []netlink.Route {
	var out []netlink.Route
	for _, gw := range l.Host {
		dst := &net.IPNet{IP: make(net.IP, gw.BitLen()/8), Mask: net.CIDRMask(0, gw.BitLen())}
		out = append(out, netlink.Route{LinkIndex: index, Dst: dst, Gw: gw.AsSlice(), Protocol: unix.RTPROT_STATIC})
		if gw.Is4() {
			loopback := &net.IPNet{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}
			out = append(out, netlink.Route{Dst: loopback, Type: unix.RTN_PROHIBIT, Protocol: unix.RTPROT_STATIC})
		}
	}
	return out
}

// ensureAddrs gives the link exactly the addresses.
func ensureAddrs(e end, link netlink.Link, want []netip.Addr) error {
	have, err := e.addrs(link)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for i := range have {
		if !slices.Contains(want, addrOf(have[i])) && !have[i].IP.IsLinkLocalUnicast() {
			if err := e.AddrDel(link, &have[i]); err != nil {
				return fmt.Errorf("delete address %s: %w", have[i].IPNet, err)
			}
		}
	}
	for _, a := range want {
		if err := AddAddress(e.Handle, link, a); err != nil {
			return err
		}
	}
	return nil
}

// AddAddress gives a link one address of a point-to-point pair: a /31 or a /127. An IPv6 address is
// usable at once, without duplicate address detection. An address that the link has already is no
// error.
func AddAddress(h *netlink.Handle, link netlink.Link, a netip.Addr) error {
	flags := 0
	if a.Is6() {
		flags = unix.IFA_F_NODAD
	}
	mask := net.CIDRMask(bits(a), a.BitLen())
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: mask}, Flags: flags}); err != nil {
		return fmt.Errorf("add address %s: %w", a, err)
	}
	return nil
}

func addrOf(a netlink.Addr) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.IP)
	return addr.Unmap()
}

// linkAsWanted reports whether both ends of the link match l. An error means that this is unknown.
func linkAsWanted(ns *os.File, l Link) (bool, error) {
	host, err := readEnd()
	if err != nil {
		return false, err
	}
	defer host.Close()
	near, err := host.find(l.Name)
	if err != nil || near.Link == nil {
		return false, err
	}
	if near.Attrs().Alias != l.Alias || near.Attrs().Flags&net.FlagUp == 0 {
		return false, nil
	}
	if ok, err := near.hasSysctls(hostEndSysctls(l)); err != nil || !ok {
		return false, err
	}
	if ok, err := hasAddrs(host, near, l.Host); err != nil || !ok {
		return false, err
	}
	if ok, err := near.hasRate(l.RateIn, hostEnd); err != nil || !ok {
		return false, err
	}
	var group end
	err = Inside(ns, func() (err error) {
		group, err = readEnd()
		return err
	})
	if err != nil {
		return false, err
	}
	defer group.Close()
	far, err := group.find(PeerName)
	if err != nil || far.Link == nil {
		return false, err
	}
	if far.Attrs().Flags&net.FlagUp == 0 || near.Attrs().ParentIndex != far.Attrs().Index {
		return false, nil
	}
	if ok, err := hasAddrs(group, far, l.Group); err != nil || !ok {
		return false, err
	}
	if ok, err := far.hasRate(l.RateOut, func() (end, error) { return groupEnd(vnetns.NsHandle(ns.Fd())) }); err != nil || !ok {
		return false, err
	}
	if ok, err := hasNeighbours(host, near, l.Group, far.Attrs().HardwareAddr); err != nil || !ok {
		return false, err
	}
	if ok, err := hasNeighbours(group, far, l.Host, near.Attrs().HardwareAddr); err != nil || !ok {
		return false, err
	}
	return hasRoutes(group, routes(l, far.Attrs().Index))
}

// hasAddrs reports whether the link has exactly the addresses. It ignores link-local ones.
func hasAddrs(e end, link netlink.Link, want []netip.Addr) (bool, error) {
	have, err := e.addrs(link)
	if err != nil {
		return false, err
	}
	found := 0
	for _, x := range have {
		ones, _ := x.Mask.Size()
		switch a := addrOf(x); {
		case a.IsLinkLocalUnicast():
		case !slices.Contains(want, a), ones != bits(a):
			return false, nil
		default:
			found++
		}
	}
	return found == len(want), nil
}

func hasRoutes(e end, want []netlink.Route) (bool, error) {
	have, err := e.routes()
	if err != nil {
		return false, err
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(r netlink.Route) bool {
			sameType := r.Type == w.Type || w.Type == 0 && r.Type == unix.RTN_UNICAST
			return sameType && r.Dst != nil && r.Dst.String() == w.Dst.String() && r.Gw.Equal(w.Gw) &&
				(w.LinkIndex == 0 || r.LinkIndex == w.LinkIndex)
		}) {
			return false, nil
		}
	}
	return true, nil
}

// RemoveLink removes the link whose host's end has that name. An absent link is no error.
func RemoveLink(name string) error {
	link, err := netlink.LinkByName(name)
	if isLinkNotFound(err) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) { // ENODEV: its namespace went at the same moment
		return fmt.Errorf("remove link %q: %w", name, err)
	}
	return nil
}

func isLinkNotFound(err error) bool {
	_, ok := errors.AsType[netlink.LinkNotFoundError](err)
	return ok
}
