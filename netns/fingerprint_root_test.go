package netns_test

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// One link has the same fingerprint alone as among all of the host's.
func TestRootHostFingerprint(t *testing.T) {
	netnstest.Root(t)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "sp-a", Alias: "sallyport:till"}, PeerName: "sp-b"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkDel(link)
	expectSame := func() netns.HostLinkPrint {
		t.Helper()
		all, err := netns.HostFingerprints()
		if err != nil {
			t.Fatal(err)
		}
		one, err := netns.HostFingerprint("sp-a")
		if err != nil {
			t.Fatal(err)
		}
		if one != all["sp-a"] || one.Index == 0 {
			t.Errorf("alone %+v, among all %+v", one, all["sp-a"])
		}
		return one
	}
	seen := map[netns.Fingerprint]bool{expectSame().Fingerprint: true}
	for _, a := range []struct{ own, peer string }{{own: "10.1.2.3/31"}, {"10.1.3.1/32", "10.1.3.2/32"}, {own: "fd00::1/127"}, {"fd00::5/64", "fd00::6/64"}} {
		parsed, err := netlink.ParseAddr(a.own)
		if err == nil && a.peer != "" {
			parsed.Peer, err = netlink.ParseIPNet(a.peer)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(link, parsed); err != nil {
			t.Fatal(err)
		}
		print := expectSame().Fingerprint
		if seen[print] {
			t.Errorf("address %s changes nothing", a.own)
		}
		seen[print] = true
	}
	if none, err := netns.HostFingerprint("sp-none"); err != nil || none != (netns.HostLinkPrint{}) {
		t.Errorf("of no link: %+v, error %v", none, err)
	}
}
