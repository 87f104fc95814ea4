package netns_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// manyLinks are so many that the kernel sends the lists of links and addresses in several messages,
// between which they can change.
const manyLinks, addressesEach = 30, 20

// TestRootListsWhileLinksChange makes and deletes links and addresses while everything of this
// package that lists them runs, until a plain list was interrupted often enough.
func TestRootListsWhileLinksChange(t *testing.T) {
	netnstest.Root(t)
	for i := range manyLinks {
		link := addPair(t, fmt.Sprintf("still%d", i))
		t.Cleanup(func() { _ = netlink.LinkDel(link) })
		address(t, link, i)
	}
	path := filepath.Join(t.TempDir(), "netns", "g")
	pair := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	c := netns.Config{Path: path, Link: &netns.Link{Name: netns.LinkName(path), Alias: "test g", Host: pair("10.209.0.0"), Group: pair("10.209.0.1")}}
	t.Cleanup(func() { _ = netns.Remove(path); _ = netns.RemoveLink(c.Link.Name) })
	if err := netns.Apply(c); err != nil {
		t.Fatal(err)
	}

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			link := addPair(t, "moving")
			address(t, link, manyLinks)
			if err := netlink.LinkDel(link); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	defer func() { close(stop); <-done }()

	const enough, most = 5, 2_000
	for interrupted, n := 0, 0; interrupted < enough; n++ {
		if n == most {
			t.Fatalf("of %d plain lists only %d were interrupted, so this proves nothing", n, interrupted)
		}
		if _, err := netlink.AddrList(nil, netlink.FAMILY_ALL); errors.Is(err, netlink.ErrDumpInterrupted) {
			interrupted++
		}
		for name, err := range map[string]error{
			"observe":      second(netns.Observe(c)),
			"apply":        netns.Apply(c),
			"addresses":    second(netns.Addresses()),
			"links":        second(netns.Links("test ")),
			"routes":       second(netns.Routes("test ")),
			"fingerprints": second(netns.HostFingerprints()),
		} {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func addPair(t *testing.T, name string) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Error(err)
	}
	return link
}

func address(t *testing.T, link netlink.Link, i int) {
	if err := netlink.LinkSetUp(link); err != nil {
		t.Error(err)
	}
	for j := range addressesEach {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 208, byte(i), byte(j)), Mask: net.CIDRMask(32, 32)}}
		if err := netlink.AddrAdd(link, a); err != nil {
			t.Error(err)
		}
	}
}
