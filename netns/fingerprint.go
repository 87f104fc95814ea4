package netns

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Fingerprint stands for links, addresses and routes. If two fingerprints differ, something
// changed in between. Times and counts are no part of it.
type Fingerprint uint64

// FingerprintOf returns the fingerprint of everything in a namespace.
func FingerprintOf(ns *os.File) (Fingerprint, error) {
	h, err := netlink.NewHandleAt(vnetns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("look into the namespace: %w", err)
	}
	defer h.Close()
	links, addrs, err := linksAndAddrs(h)
	if err != nil {
		return 0, err
	}
	routes, err := Dump(func() ([]netlink.Route, error) { return h.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	var lines []string
	for _, l := range links {
		lines = append(append(lines, linkLine(l)), addrs[l.Attrs().Index]...)
	}
	for _, r := range routes {
		lines = append(lines, fmt.Sprint("route ", r.LinkIndex, r.Dst, r.Gw, r.Type, r.Priority))
	}
	return fingerprint(lines), nil
}

// A HostLinkPrint is the fingerprint of one of the host's links with its addresses.
type HostLinkPrint struct {
	Fingerprint
	Index int
}

// HostFingerprints returns a fingerprint of each of the host's links with its addresses, by name.
// It costs three requests for all links.
func HostFingerprints() (map[string]HostLinkPrint, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("look at the host's links: %w", err)
	}
	defer h.Close()
	links, addrs, err := linksAndAddrs(h)
	if err != nil {
		return nil, err
	}
	found := make(map[string]HostLinkPrint, len(links))
	for _, l := range links {
		index := l.Attrs().Index
		found[l.Attrs().Name] = HostLinkPrint{fingerprint(append(addrs[index], linkLine(l))), index}
	}
	return found, nil
}

// HostFingerprint returns the fingerprint of one of the host's links, as HostFingerprints has it.
// It is zero if there is no such link. It costs two requests, however many links the host has.
func HostFingerprint(name string) (p HostLinkPrint, err error) {
	host, err := readEnd()
	if err != nil {
		return p, fmt.Errorf("look at the host's links: %w", err)
	}
	defer host.Close()
	link, err := host.find(name)
	if err != nil {
		return p, fmt.Errorf("find link %q: %w", name, err)
	}
	if link.Link == nil {
		return p, nil
	}
	addrs, err := host.addrs(link)
	if err != nil {
		return p, fmt.Errorf("list addresses of link %q: %w", name, err)
	}
	index := link.Attrs().Index
	lines := []string{linkLine(link)}
	for _, a := range addrs {
		lines = append(lines, addressLine(index, a.IPNet))
	}
	return HostLinkPrint{fingerprint(lines), index}, nil
}

func addressLine(index int, a *net.IPNet) string { return fmt.Sprint("address ", index, a) }

func linksAndAddrs(h *netlink.Handle) (links []netlink.Link, addrs map[int][]string, err error) {
	if links, err = Dump(h.LinkList); err != nil {
		return nil, nil, fmt.Errorf("list links: %w", err)
	}
	list, err := Dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses: %w", err)
	}
	addrs = map[int][]string{}
	for _, a := range list {
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], addressLine(a.LinkIndex, a.IPNet))
	}
	return links, addrs, nil
}

func linkLine(l netlink.Link) string {
	a := l.Attrs()
	return fmt.Sprint("link ", a.Name, a.Index, a.ParentIndex, a.Flags, a.HardwareAddr, a.Alias)
}

// fingerprint does not depend on the order of the lines: the kernel promises none.
func fingerprint(lines []string) Fingerprint {
	slices.Sort(lines)
	h := fnv.New64a()
	_, _ = io.WriteString(h, strings.Join(lines, "\n")) // a hash takes everything
	return Fingerprint(h.Sum64())
}
