package netnstest

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NewNamespace makes a network namespace with its loopback up. It ends with the test.
func NewNamespace(t testing.TB) *os.File {
	t.Helper()
	var ns *os.File
	do(t, func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	t.Cleanup(func() { ns.Close() })
	in(t, ns, func(h *netlink.Handle) error { return raise(h, "lo") })
	return ns
}

// In runs f on a thread in the namespace. A nil namespace means the test's own. f must not start
// goroutines.
func In(t testing.TB, ns *os.File, f func() error) {
	t.Helper()
	do(t, func() error {
		if ns != nil {
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
		}
		return f()
	})
}

// do runs f on a thread that is never used again.
func do(t testing.TB, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func in(t testing.TB, ns *os.File, f func(*netlink.Handle) error) {
	t.Helper()
	h, err := netlink.NewHandleAt(vnetns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := f(h); err != nil {
		t.Fatal(err)
	}
}

func raise(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	return h.LinkSetUp(link)
}

// An Outside is a namespace behind the host that stands for the internet. It has no routes to the
// groups.
type Outside struct {
	NS           *os.File
	Addr4, Addr6 netip.Addr // its own
	Host4, Host6 netip.Addr // the host's, on the link between them
	Link         string     // the host's end
}

// NewOutside joins a new namespace to the test's own host.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	o := &Outside{
		NS:    NewNamespace(t),
		Addr4: netip.MustParseAddr("198.51.100.2"), Host4: netip.MustParseAddr("198.51.100.1"),
		Addr6: netip.MustParseAddr("2001:db8:f::2"), Host6: netip.MustParseAddr("2001:db8:f::1"),
		Link: "uplink0",
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = o.Link
	// A link with the same index as its peer learns of its carrier up to a second late.
	attrs.Index = 1000
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(o.NS.Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	address(t, host, o.Link, "198.51.100.1/24", "2001:db8:f::1/64")
	in(t, o.NS, func(h *netlink.Handle) error {
		address(t, h, "eth0", "198.51.100.2/24", "2001:db8:f::2/64")
		return nil
	})
	return o
}

func address(t testing.TB, h *netlink.Handle, name string, addrs ...string) {
	t.Helper()
	link, err := h.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := h.AddrAdd(link, addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
}

// Route adds a route to one address by another in a namespace.
func Route(t testing.TB, ns *os.File, to, by netip.Addr) {
	t.Helper()
	in(t, ns, func(h *netlink.Handle) error {
		dst := &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(to.BitLen(), to.BitLen())}
		return h.RouteReplace(&netlink.Route{Dst: dst, Gw: by.AsSlice()})
	})
}

// Sysctl sets a value below /proc/sys/net in a namespace.
func Sysctl(t testing.TB, ns *os.File, key, value string) {
	t.Helper()
	In(t, ns, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// States of TCP connections in /proc/net/tcp.
const (
	LastAck  = "09"
	SynSent  = "02"
	TimeWait = "06"
)

// Connections lists the TCP connections of a namespace in a state, each "local remote".
func Connections(t testing.TB, ns *os.File, state string) (out []string) {
	t.Helper()
	In(t, ns, func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				if f := strings.Fields(line); len(f) > 3 && f[3] == state {
					out = append(out, f[1]+" "+f[2])
				}
			}
		}
		return nil
	})
	return out
}

// Eventually waits until holds returns true. It fails the test after a minute.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
