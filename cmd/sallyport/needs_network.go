package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
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

func checkForwarding(context.Context) (string, error) {
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			continue // a host without this family
		}
		if strings.TrimSpace(string(value)) != "1" {
			key := strings.ReplaceAll(name, "/", ".")
			return "", unmet("sysctl -w "+key+"=1, and into /etc/sysctl.d for the next boot", "%s is off: ambassadors don't get past this host", key)
		}
	}
	return "on", nil
}

// checkForwardPolicy looks for another firewall that drops what is forwarded: our own accept can't overrule its drop.
func checkForwardPolicy(ours string) (string, error) {
	conn, err := nftables.New()
	if err != nil {
		return "", err
	}
	chains, err := conn.ListChains()
	if err != nil {
		return "", unmet("run doctor as root", "list the host's chains: %w", err)
	}
	for _, c := range chains {
		if c.Table.Name == ours || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward {
			continue
		}
		if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			return "", unmet(forwardHint(chains), "another firewall drops what is forwarded: chain %s of table %s", c.Name, c.Table.Name)
		}
	}
	return "nobody drops what is forwarded", nil
}

// forwardHint names the knob of whose firewall it seems to be.
func forwardHint(chains []*nftables.Chain) string {
	for _, c := range chains {
		switch {
		case c.Name == "DOCKER-USER":
			return "let the groups' links pass docker's rules: for d in i o; do iptables -I DOCKER-USER -$d sp-+ -j ACCEPT; done"
		case strings.HasPrefix(c.Name, "ufw-"):
			return "set DEFAULT_FORWARD_POLICY=\"ACCEPT\" in /etc/default/ufw, then: ufw reload"
		case c.Table.Name == "firewalld":
			return "let the groups' addresses pass firewalld: firewall-cmd --permanent --zone=trusted --add-source=10.209.0.0/16 && firewall-cmd --reload"
		}
	}
	return "accept there what comes from and goes to interfaces named sp-*"
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
