package network

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// The remote host has the first address of each reserved prefix, and listens there. An ambassador
// without an allow list is refused at once. The control is an address beside them, which answers.
func TestRootReservedAddressesAreRefused(t *testing.T) {
	h := newHarness(t, nil)
	host := must(os.Open("/proc/thread-self/ns/net"))(t)
	defer host.Close()
	pair := must(h.net.pair(h.group.Name))(t)
	groups := spec.NAT64(netip.PrefixFrom(pair.Group4, 32)) // the NAT64 form of a group's address
	beside := []netip.Addr{netip.MustParseAddr("100.100.100.201"), netip.MustParseAddr("64:ff9b::192.0.2.1")}
	type target struct {
		addr    netip.Addr
		refused bool
	}
	var targets []target
	for _, p := range append(spec.ReservedPrefixes(), groups) {
		if a := p.Addr(); a.Is4() || !a.IsLinkLocalUnicast() { // the latter need an interface
			targets = append(targets, target{a, true})
		}
	}
	for _, a := range beside {
		targets = append(targets, target{a, false})
	}
	l := listen(t, h.remote, netip.MustParseAddrPort("[::]:80"))
	defer l.Close()
	for _, tt := range targets {
		t.Run(tt.addr.String(), func(t *testing.T) {
			by := h.out.Addr4
			if tt.addr.Is6() {
				by = h.out.Addr6
			}
			netnstest.Route(t, host, tt.addr, by)
			netnstest.AddAddress(t, h.out.NS, "eth0", netip.PrefixFrom(tt.addr, tt.addr.BitLen()).String())
			err := exchange(t, h.ambassador, netip.AddrPortFrom(tt.addr, 80), l)
			if tt.refused && !errors.Is(err, unix.ECONNREFUSED) || !tt.refused && err != nil {
				t.Errorf("exchange: %v, want a refusal: %v", err, tt.refused)
			}
		})
	}
}
