package spec

import "net/netip"

// ReservedPrefixes returns the addresses that no group reaches unless its allow list names them:
// link-local addresses, and the metadata services of clouds, which hand out a host's credentials to
// any caller.
//
// Both what a plan says and the host's rules come from this list.
func ReservedPrefixes() []netip.Prefix {
	return []netip.Prefix{
		// IPv4 link-local (RFC 3927). The metadata services of AWS, Azure, Google Cloud and others
		// are at 169.254.169.254.
		netip.MustParsePrefix("169.254.0.0/16"),
		// IPv6 link-local unicast (RFC 4291, section 2.5.6).
		netip.MustParsePrefix("fe80::/10"),
		// The metadata service of AWS on IPv6 (Amazon EC2 User Guide, "Access instance metadata").
		// It is a unique local address (RFC 4193), so no other prefix of this list covers it.
		netip.MustParsePrefix("fd00:ec2::254/128"),
	}
}
