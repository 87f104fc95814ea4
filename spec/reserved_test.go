package spec

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// Each metadata service is reserved, and so is the NAT64 form of each reserved IPv4 address. The
// addresses beside them are not, which is the control.
func TestReservedPrefixes(t *testing.T) {
	reserved := func(s string) bool {
		return slices.ContainsFunc(ReservedPrefixes(), func(p netip.Prefix) bool { return p.Contains(netip.MustParseAddr(s)) })
	}
	for _, tt := range []struct{ name, is, isNot string }{
		{"link-local", "169.254.169.254", "169.255.0.1"},
		{"link-local, IPv6", "fe80::a9fe:a9fe", "fec0::1"},
		{"AWS, IPv6", "fd00:ec2::254", "fd00:ec2::253"},
		{"AWS, pod identity", "fd00:ec2::23", "fd00:ec2::24"},
		{"Azure", "168.63.129.16", "168.63.129.17"},
		{"Alibaba", "100.100.100.200", "100.100.100.201"},
		{"Alibaba, IPv6", "fd00:100::100:200", "fd00:100::100:201"},
		{"Oracle Classic", "192.0.0.192", "192.0.0.193"},
		{"Oracle, IPv6", "fd00:c1::a9fe:a9fe", "fd00:c1::a9fe:a9ff"},
		{"Google, IPv6", "fd20:ce::254", "fd20:ce::253"},
		{"Volcano Engine", "100.96.0.96", "100.96.0.97"},
		{"Scaleway, IPv6", "fd00:42::42", "fd00:42::43"},
		{"Akamai, IPv6", "fd00:a9fe:a9fe::1", "fd00:a9fe:a9fe::2"},
		{"NAT64 of link-local", "64:ff9b::169.254.169.254", "64:ff9b::169.255.0.1"},
		{"NAT64 of Azure", "64:ff9b::168.63.129.16", "64:ff9b::168.63.129.17"},
		{"NAT64 of Alibaba", "64:ff9b::100.100.100.200", "64:ff9b::100.100.100.201"},
		{"NAT64 of Oracle Classic", "64:ff9b::192.0.0.192", "64:ff9b::192.0.0.193"},
		{"NAT64 of Volcano Engine", "64:ff9b::100.96.0.96", "64:ff9b::100.96.0.97"},
		{"NAT64 of loopback", "64:ff9b::127.0.0.1", "64:ff9b::128.0.0.1"},
		{"NAT64 of this host", "64:ff9b::0.0.0.0", "64:ff9b::1.0.0.0"},
		{"NAT64 of multicast", "64:ff9b::224.0.0.1", "64:ff9b::223.255.255.255"},
		{"NAT64 of broadcast", "64:ff9b::255.255.255.255", "64:ff9b::255.255.255.254"},
	} {
		if !reserved(tt.is) {
			t.Errorf("%s: %s is not reserved", tt.name, tt.is)
		}
		if reserved(tt.isNot) {
			t.Errorf("%s: %s is reserved", tt.name, tt.isNot)
		}
	}
}

// REFERENCE.md names every reserved prefix; a single address is without its length.
func TestReferenceNamesReservedPrefixes(t *testing.T) {
	text, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Concat(reserved4, reserved6) {
		name := strings.TrimSuffix(strings.TrimSuffix(p, "/32"), "/128")
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("REFERENCE.md does not name %s", name)
		}
	}
}
