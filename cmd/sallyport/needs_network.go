package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

func checkNFTables(context.Context) (string, error) {
	conn, err := nftables.New()
	if err == nil {
		_, err = conn.ListTables()
	}
	if err != nil {
		return "", unmet("as root: modprobe nf_tables", "the kernel's nftables don't answer: %w", err)
	}
	return "answers", nil
}

// checkForwarding looks whether the host routes, or can be told to when the first group is connected.
func checkForwarding(context.Context) (string, error) {
	found := "on"
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		path := "/proc/sys/" + name
		value, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(value)) == "1" {
			continue // without this family there is nothing to forward
		}
		found = "switched on for the first group that is connected"
		if err := unix.Access(path, unix.W_OK); err != nil {
			key := strings.ReplaceAll(name, "/", ".")
			return "", unmet("sysctl -w "+key+"=1, where that is allowed", "%s is off and can't be switched on: %w", key, err)
		}
	}
	return found, nil
}

// checkSelf proves that the rules hold on this kernel.
func checkSelf(ctx context.Context, l shim.Layout) (string, error) {
	network, err := shim.NewHostNetwork(shim.HostNetworkConfig{Layout: l})
	if err != nil {
		return "", err
	}
	return "the ambassador gets through, members are refused", network.SelfTest(ctx)
}

// checkPrefixes looks for routes of the host that the groups' addresses would shadow or be shadowed by.
func checkPrefixes(prefixes ...string) (string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return "", fmt.Errorf("list links: %w", err)
	}
	ours := map[int]bool{}
	for _, link := range links {
		ours[link.Attrs().Index] = strings.HasPrefix(link.Attrs().Name, "sp-")
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return "", fmt.Errorf("list routes: %w", err)
	}
	var theirs []netip.Prefix
	for _, route := range routes {
		if route.Dst == nil || ours[route.LinkIndex] {
			continue
		}
		if addr, ok := netip.AddrFromSlice(route.Dst.IP); ok {
			bits, _ := route.Dst.Mask.Size()
			theirs = append(theirs, netip.PrefixFrom(addr.Unmap(), bits))
		}
	}
	for _, text := range prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return "", unmet("write it as 10.209.0.0/16 or fd5a:11e0:9027::/64", "%q is no prefix: %w", text, err)
		}
		if clash, ok := overlapping(prefix, theirs); ok {
			return "", unmet("choose another with --prefix4 or --prefix6", "%s, kept for the groups, overlaps the host's route to %s", prefix, clash)
		}
	}
	return strings.Join(prefixes, ", "), nil
}

// overlapping finds a route that shares addresses with prefix; a default route shares all and means none.
func overlapping(prefix netip.Prefix, routes []netip.Prefix) (netip.Prefix, bool) {
	for _, route := range routes {
		if route.Bits() > 0 && route.Overlaps(prefix) {
			return route, true
		}
	}
	return netip.Prefix{}, false
}
