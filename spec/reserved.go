package spec

import (
	"net/netip"
	"slices"
)

// ReservedPrefixes returns the addresses that no group reaches unless its allow list names them:
// link-local addresses, the metadata services of clouds, which hand out a host's credentials to any
// caller, and the NAT64 forms of refused IPv4 addresses.
//
// Both the text of a plan and the host's rules come from this list. The host's rules also refuse
// what depends on the host: its own addresses, and those of all groups.
func ReservedPrefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range slices.Concat(reserved4, reserved6) {
		out = append(out, netip.MustParsePrefix(p))
	}
	for _, p := range slices.Concat(reserved4, special4) {
		out = append(out, NAT64(netip.MustParsePrefix(p)))
	}
	return out
}

// reserved4 are IPv4 prefixes.
var reserved4 = []string{
	"169.254.0.0/16",     // link-local (RFC 3927): metadata of AWS, Azure, Google Cloud, Oracle and most others
	"168.63.129.16/32",   // Azure's WireServer, which is Azure's resolver too
	"100.100.100.200/32", // Alibaba Cloud's metadata
	"192.0.0.192/32",     // metadata of Oracle Cloud Infrastructure Classic
	"100.96.0.96/32",     // Volcano Engine's metadata
}

// reserved6 are IPv6 prefixes. No prefix covers just the unique local addresses (RFC 4193) among
// them.
var reserved6 = []string{
	"fe80::/10",              // link-local (RFC 4291, section 2.5.6)
	"fd00:ec2::254/128",      // AWS's metadata
	"fd00:ec2::23/128",       // AWS's EKS Pod Identity Agent, which hands out credentials
	"fd20:ce::254/128",       // Google Cloud's metadata
	"fd00:c1::a9fe:a9fe/128", // Oracle Cloud's metadata
	"fd00:42::42/128",        // Scaleway's metadata
	"fd00:a9fe:a9fe::1/128",  // Akamai's (Linode's) metadata
	"fd00:100::100:200/128",  // Alibaba Cloud's metadata
}

// special4 are IPv4 prefixes that the host's rules refuse by the kind of their route. A NAT64 form
// has a route of its own, so the rules have to name it.
var special4 = []string{
	"0.0.0.0/8",          // this host (RFC 1122, section 3.2.1.3)
	"127.0.0.0/8",        // loopback
	"224.0.0.0/4",        // multicast
	"255.255.255.255/32", // broadcast
}

// NAT64 returns the IPv6 prefix whose packets a NAT64 gateway sends to p: p behind the well-known
// prefix 64:ff9b::/96 (RFC 6052, section 2.1). p must be of IPv4.
func NAT64(p netip.Prefix) netip.Prefix {
	a := [16]byte{0x00, 0x64, 0xff, 0x9b}
	four := p.Addr().As4()
	copy(a[12:], four[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 96+p.Bits())
}
