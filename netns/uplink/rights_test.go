package uplink

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// joined returns the elements of several entries.
func joined(entries ...Entry) elements {
	out := elements{}
	for _, e := range entries {
		for set, xs := range createElements(e) {
			out[set] = append(out[set], xs...)
		}
	}
	return out
}

// hostRoutes are those of a host with 192.0.2.1/24 and 2001:db8::1/64.
var hostRoutes = []netns.LocalRoute{
	{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Type: unix.RTN_LOCAL},
	{Prefix: netip.MustParsePrefix("::1/128"), Type: unix.RTN_LOCAL},
	{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Type: unix.RTN_LOCAL},
	{Prefix: netip.MustParsePrefix("192.0.2.255/32"), Type: unix.RTN_BROADCAST},
	{Prefix: netip.MustParsePrefix("2001:db8::1/128"), Type: unix.RTN_LOCAL},
	{Prefix: netip.MustParsePrefix("2001:db8::/128"), Type: unix.RTN_ANYCAST},
	{Prefix: netip.MustParsePrefix("ff00::/8"), Type: unix.RTN_MULTICAST},
}

// The first group may go anywhere and publishes three ports, the second has an allow list, which
// names a published port of the first. The addresses .7 and ::7 were a group's.
func TestRefuse(t *testing.T) {
	one, two := entries()
	two.Allow = append(two.Allow,
		ruleset.Endpoint{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Protocol: "tcp", Port: 8443},
		ruleset.Endpoint{Prefix: netip.MustParsePrefix("10.209.0.1/32"), Protocol: "tcp", Port: 443},
		ruleset.Endpoint{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Protocol: "udp", Port: 123})
	three := Entry{Link: "sp-three", Group: addrs("10.209.0.5", "fd5a::5"), Allow: []ruleset.Endpoint{}, Publish: []Publish{{Protocol: "tcp", Host: 5432, Port: 5432}}}
	r := createRights(config("sallyport"), joined(one, two, three), addrs("10.209.0.7", "fd5a::7"), hostRoutes)
	const tcp, udp, icmp, icmp6 = unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6
	for _, tt := range []struct {
		name              string
		protocol          byte
		from, to, answers string // no answers: the destination was not rewritten
		want              bool
	}{
		{"of no group", tcp, "192.0.2.1:4000", "203.0.113.9:22", "", false},
		{"of no group, to the host", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "", false},
		{"of no group, rewritten", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "10.88.0.1:443", false},
		{"of no group, in its prefix", udp, "10.209.0.0:4000", "10.209.0.0:53", "", false},

		{"from anywhere's group", tcp, "10.209.0.1:4000", "203.0.113.9:22", "", false},
		{"IPv6", tcp, "[fd5a::1]:4000", "[2001:db8:9::1]:22", "", false},
		{"UDP", udp, "10.209.0.1:4000", "203.0.113.9:53", "", false},
		{"echo request", icmp, "10.209.0.1:0", "203.0.113.9:0", "", false},
		{"rewritten by another", udp, "10.209.0.1:4000", "203.0.113.9:53", "192.0.2.53:53", false},
		{"to a neighbour of the host", tcp, "10.209.0.1:4000", "192.0.2.2:22", "", false},
		{"to the host", tcp, "10.209.0.1:4000", "192.0.2.1:22", "", true},
		{"to the host, IPv6", tcp, "[fd5a::1]:4000", "[2001:db8::1]:22", "", true},
		{"to the host's end of the link", udp, "10.209.0.1:4000", "10.209.0.0:53", "", true},
		{"to metadata", tcp, "10.209.0.1:4000", "169.254.169.254:80", "", true},
		{"to metadata, IPv6", tcp, "[fd5a::1]:4000", "[fd00:ec2::254]:80", "", true},
		{"to metadata by NAT64", tcp, "[fd5a::1]:4000", "[64:ff9b::a9fe:a9fe]:80", "", true},
		{"to another group", tcp, "10.209.0.1:4000", "10.209.0.3:443", "", true},
		{"to broadcast", udp, "10.209.0.1:4000", "192.0.2.255:67", "", true},
		{"to everyone", udp, "10.209.0.1:4000", "255.255.255.255:67", "", true},
		{"to multicast", udp, "10.209.0.1:4000", "224.0.0.251:5353", "", true},
		{"to multicast, IPv6", udp, "[fd5a::1]:4000", "[ff02::fb]:5353", "", true},
		{"to anycast", udp, "[fd5a::1]:4000", "[2001:db8::]:53", "", true},

		{"listed", tcp, "10.209.0.3:4000", "203.0.113.9:443", "", false},
		{"the last of the list's range", tcp, "10.209.0.3:4000", "203.0.113.255:443", "", false},
		{"beyond the range", tcp, "10.209.0.3:4000", "203.0.114.0:443", "", true},
		{"before the range", tcp, "10.209.0.3:4000", "203.0.112.255:443", "", true},
		{"another port", tcp, "10.209.0.3:4000", "203.0.113.9:444", "", true},
		{"another protocol", udp, "10.209.0.3:4000", "203.0.113.9:443", "", true},
		{"any port", udp, "10.209.0.3:4000", "198.51.100.7:9", "", false},
		{"any port, another protocol", tcp, "10.209.0.3:4000", "198.51.100.7:9", "", true},
		{"listed, IPv6", tcp, "[fd5a::3]:4000", "[2001:db8:1::9]:443", "", false},
		{"any port, IPv6", tcp, "[fd5a::3]:4000", "[2001:db8:2::9]:9", "", false},
		{"not listed, IPv6", tcp, "[fd5a::3]:4000", "[2001:db8:3::9]:443", "", true},
		{"the list names no ICMP", icmp, "10.209.0.3:0", "203.0.113.9:0", "", true},
		{"the list names no ICMPv6", icmp6, "[fd5a::3]:0", "[2001:db8:1::9]:0", "", true},
		{"the list names the host", udp, "10.209.0.3:4000", "192.0.2.1:123", "", false},
		{"the list of another group", tcp, "10.209.0.1:4000", "192.0.2.1:123", "", true},
		{"another's published port, listed", tcp, "10.209.0.3:4000", "192.0.2.1:8443", "10.209.0.1:443", false},
		{"another's published port, not listed", udp, "10.209.0.3:4000", "192.0.2.1:53", "10.209.0.1:53", true},
		{"another group itself, listed", tcp, "10.209.0.3:4000", "10.209.0.1:443", "", true},

		{"calls nowhere", tcp, "10.209.0.5:4000", "203.0.113.9:22", "", true},
		{"calls nowhere, IPv6", udp, "[fd5a::5]:4000", "[2001:db8:9::1]:53", "", true},
		{"calls nowhere, echo request", icmp, "10.209.0.5:0", "203.0.113.9:0", "", true},
		{"calls nowhere, another's published port", tcp, "10.209.0.5:4000", "192.0.2.1:8443", "10.209.0.1:443", true},
		{"calls nowhere and is called", tcp, "203.0.113.9:4000", "192.0.2.1:5432", "10.209.0.5:5432", false},

		{"published everywhere", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "10.209.0.1:443", false},
		{"published everywhere, IPv6", tcp, "[2001:db8:9::1]:4000", "[2001:db8::1]:8443", "[fd5a::1]:443", false},
		{"published at this address", udp, "203.0.113.9:4000", "192.0.2.1:53", "10.209.0.1:53", false},
		{"published at this address, IPv6", udp, "[2001:db8:9::1]:4000", "[2001:db8::1]:53", "[fd5a::1]:53", false},
		{"published at another address", udp, "203.0.113.9:4000", "192.0.2.9:53", "10.209.0.1:53", true},
		{"published for another protocol", udp, "203.0.113.9:4000", "192.0.2.1:8443", "10.209.0.1:443", true},
		{"leads elsewhere now", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "10.209.0.1:444", true},
		{"leads to another group now", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "10.209.0.3:443", true},
		{"published no more", tcp, "203.0.113.9:4000", "192.0.2.1:9001", "10.209.0.1:9000", true},
		{"published no more, IPv6", tcp, "[2001:db8:9::1]:4000", "[2001:db8::1]:9001", "[fd5a::1]:9000", true},
		{"to the group itself", tcp, "203.0.113.9:4000", "10.209.0.1:443", "", true},
		{"from the host's loopback", tcp, "127.0.0.1:4000", "127.0.0.1:8443", "10.209.0.1:443", false},
		{"from the host to its loopback", tcp, "192.0.2.1:4000", "127.0.0.1:8443", "10.209.0.1:443", false},
		{"from a neighbour to the loopback", tcp, "192.0.2.2:4000", "127.0.0.1:8443", "10.209.0.1:443", true},
		{"to the loopback of IPv6", tcp, "[::1]:4000", "[::1]:8443", "[fd5a::1]:443", true},
		{"by the host's end of the link", tcp, "10.209.0.0:4000", "10.209.0.0:8443", "10.209.0.1:443", false},

		{"from a group that is gone", tcp, "10.209.0.7:4000", "203.0.113.9:22", "", true},
		{"to a group that is gone", tcp, "203.0.113.9:4000", "192.0.2.1:8443", "10.209.0.7:443", true},
		{"to a group that is gone, IPv6", tcp, "[2001:db8:9::1]:4000", "[2001:db8::1]:8443", "[fd5a::7]:443", true},
	} {
		if tt.answers == "" {
			tt.answers = tt.to
		}
		f := conntrack.Flow{Protocol: tt.protocol, From: netip.MustParseAddrPort(tt.from), To: netip.MustParseAddrPort(tt.to), Answers: netip.MustParseAddrPort(tt.answers)}
		if got := r.refuse(f); got != tt.want {
			t.Errorf("%s: refused: %v, want %v", tt.name, got, tt.want)
		}
	}
}
