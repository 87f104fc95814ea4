package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// allow reads the ambassador's allowed destinations, in the file's order and without repetitions.
func (d *groupDecoder) allow(r reader) AllowList {
	items, ok := r.list("allow")
	if !ok {
		return nil
	}
	all := AllowList{}
	for _, i := range items {
		v, ok := r.convert(i.value, cty.String, elementOf("allow"), i.at)
		if !ok {
			continue
		}
		a, problem := parseAllow(v.AsString())
		if problem != "" {
			d.errorf(i.at, "Invalid destination", "%s %s.", quote(v.AsString()), problem)
			continue
		}
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// checkServers reports resolvers that the ambassador can't ask, because it calls nowhere.
func (d *groupDecoder) checkServers(g *Group, group *hclsyntax.Block) {
	if len(g.Network.Servers) == 0 || !g.Door().Allow.Nowhere() {
		return
	}
	at := d.in(single(single(group, "network"), "dns")).nameOf("servers")
	d.errorf(at, "Servers that are never asked", "With allow = [] the ambassador calls nowhere, so it asks no server. Name the servers in allow (%s), or remove the dns block.", quote(serverDestination(g.Network.Servers[0])))
}

// serverDestination returns the destination of a resolver as a group file has it.
func serverDestination(server string) string {
	if strings.Contains(server, ":") {
		server = "[" + server + "]"
	}
	return fmt.Sprintf("%s:%d/udp", server, dnsPort)
}

const allowForm = `Write an address or a network, a port or *, and tcp or udp: "203.0.113.0/24:443/tcp", "[2001:db8::]/32:443/tcp", "198.51.100.53:*/udp"`

// parseAllow reads a destination such as "203.0.113.0/24:443/tcp". An empty problem means that it
// is valid.
func parseAllow(s string) (a Allow, problem string) {
	rest, protocol, ok := cutLast(s, "/")
	if !ok || !slices.Contains(protocols, protocol) {
		return a, "does not end with /tcp or /udp. " + allowForm
	}
	dest, port, ok := cutLast(rest, ":")
	if !ok || strings.HasSuffix(port, "]") || strings.Contains(port, "/") {
		return a, "has no port. " + allowForm
	}
	prefix, problem := parseDestination(dest)
	if problem != "" {
		return a, problem
	}
	a = Allow{Prefix: prefix.String(), Protocol: protocol}
	if port == "*" {
		return a, ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return a, "has an invalid port: it is a number from 1 to 65535, or * for any"
	}
	a.Port = uint16(n)
	return a, ""
}

// parseDestination reads the network of a destination. An IPv6 address stands in brackets.
func parseDestination(s string) (p netip.Prefix, problem string) {
	bare, bits, isPrefix := strings.Cut(s, "/")
	inner, bracketed := strings.CutPrefix(bare, "[")
	if bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(inner)
	switch {
	case err != nil && strings.ContainsAny(s, "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"):
		return p, "names a host. The rules of a group hold addresses, not names: write the address or the network"
	case err != nil || addr.Zone() != "":
		return p, "is no address. " + allowForm
	case addr.Is4In6():
		return p, "is an IPv4 address in an IPv6 one. Write it as " + strconv.Quote(addr.Unmap().String())
	case addr.Is6() != bracketed:
		return p, "has its brackets in the wrong place: they go around an IPv6 address, before the slash. " + allowForm
	}
	n := addr.BitLen()
	if isPrefix {
		if n, err = strconv.Atoi(bits); err != nil || n < 0 || n > addr.BitLen() || strconv.Itoa(n) != bits {
			return p, fmt.Sprintf("has an invalid prefix length: it is a number from 0 to %d", addr.BitLen())
		}
	}
	p = netip.PrefixFrom(addr, n)
	if masked := p.Masked(); masked != p {
		network := masked.String()
		if addr.Is6() {
			network = fmt.Sprintf("[%s]/%d", masked.Addr(), n)
		}
		return p, fmt.Sprintf("names one address and asks for its whole network. Write %s for the network, or the address without /%d", network, n)
	}
	return p, ""
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
