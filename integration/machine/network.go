package machine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// DropFence detaches every program that filters packets of the sockets of a cgroup, or refuses
// ports to them.
func DropFence(t testing.TB, cgroup string) {
	t.Helper()
	DropPrograms(t, cgroup, ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind)
}

// DropPrograms takes every program away from the hooks of a cgroup.
func DropPrograms(t testing.TB, cgroup string, hooks ...ebpf.AttachType) {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, hook := range hooks {
		found, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: hook})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range found.Programs {
			p, err := ebpf.NewProgramFromID(x.ID)
			if err != nil {
				t.Fatal(err)
			}
			err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: hook})
			p.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ForgetQuestions ends the search for neighbours that have not answered, in the current namespace.
// The kernel asks three times, a second apart (mcast_solicit).
func ForgetQuestions() error {
	all, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.State&(netlink.NUD_INCOMPLETE|netlink.NUD_PROBE) == 0 {
			continue
		}
		if err := netlink.NeighDel(&n); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// DropTables removes every rule of a namespace.
func DropTables(t testing.TB, ns netns.NsHandle) {
	t.Helper()
	c := &nftables.Conn{NetNS: int(ns)}
	c.FlushRuleset()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Addresses of the remote host (RFC 5737 and RFC 3849, for documentation). Every address of the two
// networks belongs to it, so a test can pick one that nothing else uses.
const (
	Remote4, Remote6 = "198.51.100.10", "2001:db8:51::10"
	// The victim is where members send to. No other process sends there, so a frame to it comes
	// from a member.
	Victim4, Victim6 = "198.51.100.66", "2001:db8:51::66"
	VictimLink       = "fe80::66" // on the group's own link, where no host has it
	Host4, Host6     = "192.0.2.1", "2001:db8:1::1"
	RemotePort       = 80
	// The daemon takes the groups' addresses from these.
	groups4, groups6 = "10.209.0.0/16", "fd5a:11e0:9027::/64"
)

// A Network is two hosts, each a network namespace. Host is where the daemon under test runs. Its
// one uplink leads to Remote, which answers with what it was sent on TCP and UDP port RemotePort of
// all its addresses.
type Network struct {
	Host, Remote netns.NsHandle
}

// NewNetwork makes both hosts. They go away when the test ends.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	s := &Network{Host: newNetns(t), Remote: newNetns(t)}
	MustInNetns(t, s.Host, func() error { return s.wireHost() })
	MustInNetns(t, s.Remote, func() error { return s.wireRemote() })
	s.Echo(t, RemotePort)
	return s
}

// wireHost makes the uplink, with one end in each namespace, and configures the host's end.
func (s *Network) wireHost() error {
	up := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "up0"}, PeerName: "up0", PeerNamespace: netlink.NsFd(s.Remote)}
	if err := netlink.LinkAdd(up); err != nil {
		return err
	}
	if err := raise("up0", Host4+"/24", Host6+"/64"); err != nil {
		return err
	}
	if err := AddRoute("0.0.0.0/0", "192.0.2.2"); err != nil {
		return err
	}
	return AddRoute("::/0", "2001:db8:1::2")
}

func (s *Network) wireRemote() error {
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
	if err := OwnAddress(Remote6 + "/128"); err != nil {
		return err
	}
	// The remote host has a route to the groups' own addresses, so that only rules keep it from a
	// member.
	if err := AddRoute(groups4, Host4); err != nil {
		return err
	}
	return AddRoute(groups6, Host6)
}

// raise sets the loopback and a link up, and gives the link its addresses.
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

// AddRoute adds a route to the current namespace.
func AddRoute(dst, via string) error {
	_, prefix, err := net.ParseCIDR(dst)
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: prefix, Gw: net.ParseIP(via)}); err != nil {
		return fmt.Errorf("route %s via %s: %w", dst, via, err)
	}
	return nil
}

// Echo answers TCP and UDP on a port of every address of the remote host, until the test ends.
func (s *Network) Echo(t testing.TB, port int) {
	t.Helper()
	MustInNetns(t, s.Remote, func() error {
		return errors.Join(ServeEcho(t, fmt.Sprintf(":%d", port)), ServeEchoPackets(t, fmt.Sprintf("%s:%d", Remote4, port), fmt.Sprintf("[%s]:%d", Remote6, port)))
	})
}
