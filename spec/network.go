package spec

import (
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxServers is how many resolvers C libraries read from /etc/resolv.conf. They silently ignore the
// rest.
const maxServers = 3

// readDNS reads which container answers the members' DNS queries.
func (d *groupDecoder) readDNS(r reader, group *hclsyntax.Block) DNS {
	const none = "none"
	text, at, ok := r.text("dns", optional)
	words := []string{string(DNSAmbassador), none}
	switch {
	case !ok || text == none:
		return DNSNone
	case !slices.Contains(words, text):
		d.errorf(at, "Invalid dns", "%s can't answer the members' questions.%s \"dns\" is one of %s. The resolvers that the ambassador asks are in the group's network block: dns { servers = [\"192.0.2.53\"] }.", quote(text), DidYouMean(text, words), list(words))
		return DNSNone
	case len(blocksOf(group.Body, string(Ambassador))) == 0:
		d.errorf(at, "No ambassador in this group", "The ambassador would answer the members' questions for names, and this group has none. Remove the line, or add one: ambassador \"NAME\" { image = \"...\" }.")
	}
	return DNSAmbassador
}

// network reads the group's network block.
func (d *groupDecoder) network(group *hclsyntax.Block) (n Network) {
	block := single(group, "network")
	if block == nil {
		return n
	}
	n.Sysctls = d.groupSettings(d.in(block))
	dns := single(block, "dns")
	if dns == nil {
		return n
	}
	r := d.in(dns)
	items, ok := r.list("servers")
	if !ok {
		if !r.has("servers") {
			d.missing("servers", dns)
		}
		return n
	}
	at := r.body.Attributes["servers"].Expr.Range()
	switch {
	case len(items) == 0:
		d.errorf(at, "Empty servers", "An empty list doesn't take the host's resolvers away. Name one, or remove the block to give the ambassador those of the host.")
	case len(blocksOf(group.Body, string(Ambassador))) == 0:
		d.errorf(at, "No ambassador in this group", "Only an ambassador asks these servers, and this group has no ambassador. Members can ask only the ambassador. Remove the block.")
	}
	for i, item := range items {
		if i == maxServers {
			d.errorf(item.at, "Too many servers", "Programs ask the first %d servers and ignore the rest. Keep at most %d.", maxServers, maxServers)
			break
		}
		v, ok := d.convert(item.value, cty.String, elementOf("servers"), item.at)
		if !ok {
			continue
		}
		server, problem := parseServer(v.AsString())
		switch {
		case problem != "":
			d.errorf(item.at, "Invalid server", "%s %s.", quote(v.AsString()), problem)
		case slices.Contains(n.Servers, server):
			d.errorf(item.at, "Duplicate server", "%s is in the list already. Remove one of the two.", quote(server))
		default:
			n.Servers = append(n.Servers, server)
		}
	}
	return n
}

// missing reports a dns block without servers.
func (d *groupDecoder) missing(name string, dns *hclsyntax.Block) {
	d.errorf(dns.DefRange(), "Missing "+name, "%q is required here. Write: %s = [\"192.0.2.53\"]", name, name)
}

// parseServer reads a resolver's address. An empty problem means that it is valid.
func parseServer(s string) (server, problem string) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if p, portErr := netip.ParseAddrPort(s); portErr == nil {
			return "", "names a port. Resolvers are asked on port 53: write " + quote(p.Addr().String())
		}
		return "", `is no IP address. Write one such as "192.0.2.53" or "2001:db8::53"`
	}
	a = a.Unmap()
	switch {
	case a.IsLoopback():
		return "", "is loopback, and the ambassador's loopback is the group's: nothing of the host answers there. Write an address at which the resolver is reached from elsewhere"
	case a.IsUnspecified():
		return "", "is no server's address. Write one such as \"192.0.2.53\""
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "", "is the address of many hosts. Write the address of one resolver"
	case a.IsLinkLocalUnicast():
		return "", "is link-local, where no ambassador may go: clouds serve their instances' credentials there. Write an address that is routed"
	case a.Zone() != "":
		return "", "names an interface of the host, which the group doesn't have. Write the address alone"
	}
	return a.String(), ""
}
