package integration

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Addresses of the world (RFC 5737 and 3849, for documentation). Every address of the two networks is the world's own, so
// that a test can pick one that nothing else uses.
const (
	world4, world6 = "198.51.100.10", "2001:db8:51::10"
	// victim is what members go for. Nobody else sends there, so a frame to it is a member's.
	victim4, victim6 = "198.51.100.66", "2001:db8:51::66"
	victimLink       = "fe80::66" // on the group's own link, where nobody has it
	host4, host6     = "192.0.2.1", "2001:db8:1::1"
	worldPort        = 80
	// groups are where the daemon takes the groups' addresses from.
	groups4, groups6 = "10.209.0.0/16", "fd5a:11e0:9027::/64"
)

// A site is a machine and the world around it, each a network namespace: `host`, where the daemon under test runs, has one
// uplink, to `world`, where every TCP and UDP port worldPort answers with what it was sent.
type site struct {
	host, world netns.NsHandle
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{host: newNetns(t), world: newNetns(t)}
	within(t, s.host, func() error { return s.wireHost() })
	within(t, s.world, func() error { return s.wireWorld() })
	s.echo(t, worldPort)
	return s
}

// wireHost makes the uplink, one end in each namespace, and the host's side of it.
func (s *site) wireHost() error {
	up := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "up0"}, PeerName: "up0", PeerNamespace: netlink.NsFd(s.world)}
	if err := netlink.LinkAdd(up); err != nil {
		return err
	}
	if err := raise("up0", host4+"/24", host6+"/64"); err != nil {
		return err
	}
	if err := addRoute("0.0.0.0/0", "192.0.2.2"); err != nil {
		return err
	}
	return addRoute("::/0", "2001:db8:1::2")
}

func (s *site) wireWorld() error {
	if err := raise("up0", "192.0.2.2/24", "2001:db8:1::2/64"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, prefix := range []string{"198.51.100.0/24", "2001:db8:51::/64"} {
		_, dst, err := net.ParseCIDR(prefix)
		if err != nil {
			return err
		}
		const localTable, typeLocal = 255, 2
		if err := netlink.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: lo.Attrs().Index, Table: localTable, Type: typeLocal, Scope: netlink.SCOPE_HOST}); err != nil {
			return fmt.Errorf("local route %s: %w", prefix, err)
		}
	}
	if err := ownAddress(world6 + "/128"); err != nil {
		return err
	}
	// A way back to the groups' own addresses, so that only the rules stand between the world and a member.
	if err := addRoute(groups4, host4); err != nil {
		return err
	}
	return addRoute(groups6, host6)
}

// raise brings a link up with its addresses, and the loopback beside it.
func raise(name string, addrs ...string) error {
	for _, n := range []string{"lo", name} {
		l, err := netlink.LinkByName(n)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
		if n == "lo" {
			continue
		}
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				return err
			}
			addr.Flags |= nodad
			if err := netlink.AddrAdd(l, addr); err != nil {
				return fmt.Errorf("address %s: %w", a, err)
			}
		}
	}
	return nil
}

const nodad = 0x02 // IFA_F_NODAD

func addRoute(dst, via string) error {
	_, prefix, err := net.ParseCIDR(dst)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: prefix, Gw: net.ParseIP(via)}); err != nil {
		return fmt.Errorf("route %s via %s: %w", dst, via, err)
	}
	return nil
}

// echo answers TCP and UDP on a port of every address of the world, until the test ends.
func (s *site) echo(t testing.TB, port int) {
	t.Helper()
	within(t, s.world, func() error {
		return errors.Join(serveEcho(t, fmt.Sprintf(":%d", port)), serveEchoPackets(t, fmt.Sprintf("%s:%d", world4, port), fmt.Sprintf("[%s]:%d", world6, port)))
	})
}

// newNetns makes a namespace that lasts as long as the test.
func newNetns(t testing.TB) netns.NsHandle {
	t.Helper()
	type made struct {
		ns  netns.NsHandle
		err error
	}
	c := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		c <- made{ns, err}
	}()
	m := <-c
	if m.err != nil {
		t.Fatalf("make a network namespace: %v", m.err)
	}
	t.Cleanup(func() { m.ns.Close() })
	return m.ns
}

// within runs f on a thread of its own in the namespace. f starts no goroutine that must be there too.
func within(t testing.TB, ns netns.NsHandle, f func() error) {
	t.Helper()
	if err := inNetns(ns, f); err != nil {
		t.Fatal(err)
	}
}

func inNetns(ns netns.NsHandle, f func() error) error {
	c := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			c <- err
			return
		}
		c <- f()
	}()
	return <-c
}

// startIn starts a process in the namespace; its thread ends here, the process goes on.
func startIn(ns netns.NsHandle, cmd *exec.Cmd) error { return inNetns(ns, cmd.Start) }
