package spec

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

const maxHostName = 253 // the limit of DNS

// validHost matches the names that C libraries look up in /etc/hosts. musl takes no underscore.
var validHost = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)

// loopbackNames are in every container's /etc/hosts. They mean the container's own loopback.
var loopbackNames = []string{"localhost", "ip6-localhost", "ip6-loopback"}

// hosts reads the names by which members find an upstream besides its own: lower case, sorted. seen
// has the hosts of the upstreams that were read before. upstreams has the place of each upstream's
// own name.
func (d *groupDecoder) hosts(upstream *hclsyntax.Block, seen, upstreams map[string]hcl.Range) []string {
	items, _ := d.in(upstream).list("hosts")
	var all []string
	for _, i := range items {
		v, ok := d.convert(i.value, cty.String, elementOf("hosts"), i.at)
		if !ok {
			continue
		}
		name := strings.ToLower(v.AsString())
		own, taken := upstreams[name]
		switch problem := d.hostProblem(name); {
		case problem != "":
			d.errorf(i.at, "Invalid host", "%s %s.", quote(v.AsString()), problem)
		case taken:
			d.errorf(i.at, "Duplicate host", "%s is the name of the upstream on line %d, by which members find it already. Leave it out.", quote(name), own.Start.Line)
		case d.unique(seen, "host", name, i.at):
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// hostProblem returns why a name can't lead to an upstream, or "".
func (d *groupDecoder) hostProblem(name string) string {
	_, err := netip.ParseAddr(name)
	last := name[strings.LastIndex(name, ".")+1:]
	switch {
	case slices.Contains(loopbackNames, name) || strings.HasSuffix(name, ".localhost"):
		return "means a container's own loopback everywhere, and programs rely on it"
	case name == d.group:
		return "is the group's own name, which is in /etc/hosts already"
	case err == nil || last != "" && strings.Trim(last, "0123456789") == "":
		return "is an address, and a program that calls an address looks up no name. Write the name that the members call, or lead all of their TCP to the ambassador: intercept { port = 15001 }"
	case strings.Contains(name, "*"):
		return `has a wildcard, and /etc/hosts has none. Write out each name, or let the ambassador answer for all names: dns = "ambassador"`
	case strings.HasSuffix(name, ".") && validHost.MatchString(strings.TrimSuffix(name, ".")):
		return "ends with a dot. Write it without: it is a full name anyway"
	case strings.ContainsAny(name, ":/"):
		return `is more than a name. Write the name alone, such as "payments.example.com". Its port is that of listen`
	case !validHost.MatchString(name) || len(name) > maxHostName:
		return `is no host name: it is made of letters, digits and dashes, with dots between, such as "payments.example.com"`
	}
	return ""
}
