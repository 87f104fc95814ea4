package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/shim/reach"
	"github.com/sallyport/sallyport/spec"
)

// What a plan takes for reserved is what the kernel is given.
func TestReservedPrefixesOfPlanAndKernel(t *testing.T) {
	given := uplinkConfig("x", addrs.Pool{}).Reserved
	if diff := cmp.Diff(spec.ReservedPrefixes(), given, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("the host's rules refuse other prefixes (-spec +rules):\n%s", diff)
	}
	for _, p := range given {
		if !reach.Reserved(p) || !reach.Reserved(netip.PrefixFrom(p.Addr(), p.Addr().BitLen())) {
			t.Errorf("a plan takes %s for an address like any other", p)
		}
	}
	if len(given) == 0 || reach.Reserved(netip.MustParsePrefix("192.0.2.0/24")) {
		t.Error("nothing is reserved, or everything is")
	}
}
