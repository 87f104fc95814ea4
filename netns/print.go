package netns

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Print stands for how links, addresses and routes look: two that differ are of a change in between. It holds no times and
// no counts.
type Print uint64

// Fingerprint is of everything in a namespace.
func Fingerprint(ns *os.File) (Print, error) {
	h, err := netlink.NewHandleAt(vnetns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("look into the namespace: %w", err)
	}
	defer h.Close()
	links, addrs, err := linksAndAddrs(h)
	if err != nil {
		return 0, err
	}
	routes, err := h.RouteList(nil, netlink.FAMILY_ALL)
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
	return printOf(lines), nil
}

// HostPrints are of each of the host's links with its addresses, by name. They cost three requests for all.
func HostPrints() (map[string]Print, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("look at the host's links: %w", err)
	}
	defer h.Close()
	links, addrs, err := linksAndAddrs(h)
	if err != nil {
		return nil, err
	}
	prints := make(map[string]Print, len(links))
	for _, l := range links {
		prints[l.Attrs().Name] = printOf(append(addrs[l.Attrs().Index], linkLine(l)))
	}
	return prints, nil
}

func linksAndAddrs(h *netlink.Handle) (links []netlink.Link, addrs map[int][]string, err error) {
	if links, err = h.LinkList(); err != nil {
		return nil, nil, fmt.Errorf("list links: %w", err)
	}
	list, err := h.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses: %w", err)
	}
	addrs = map[int][]string{}
	for _, a := range list {
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], fmt.Sprint("address ", a.LinkIndex, a.IPNet))
	}
	return links, addrs, nil
}

func linkLine(l netlink.Link) string {
	a := l.Attrs()
	return fmt.Sprint("link ", a.Name, a.Index, a.ParentIndex, a.Flags, a.HardwareAddr, a.Alias)
}

// printOf goes by no order: the kernel promises none.
func printOf(lines []string) Print {
	slices.Sort(lines)
	h := fnv.New64a()
	_, _ = io.WriteString(h, strings.Join(lines, "\n")) // a hash takes everything
	return Print(h.Sum64())
}
