package network

import (
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// listenShared listens with SO_REUSEPORT.
func listenShared(t *testing.T, h *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
	t.Helper()
	s := must(h.TCP(at.Addr()))(t)
	if err := errors.Join(s.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), s.Bind(at), s.Listen()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Only the ambassador's listeners are reached. What a member listens at is refused, alone or beside
// the ambassador's, at every address. Each refusal has its control: the same by the ambassador.
func TestRootForwardsToTheAmbassadorAlone(t *testing.T) {
	h := newHarness(t, nil)
	any4, any6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	lo4, lo6 := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	for i, tt := range []struct {
		name string
		at   netip.Addr
	}{{"any", any4}, {"any, IPv6", any6}, {"loopback", lo4}, {"loopback, IPv6", lo6}, {"its address", h.groupAddr(any4)}, {"its address, IPv6", h.groupAddr(any6)}} {
		t.Run(tt.name, func(t *testing.T) {
			port := uint16(6000 + 10*i)
			mine := netip.AddrPortFrom(tt.at, port)
			l := listenShared(t, h.ambassador, mine)
			defer listenShared(t, h.member, netip.AddrPortFrom(tt.at, port+1)).Close() // no matter
			conn, err := h.net.DialAmbassador(t.Context(), h.group.Name, port)
			if err != nil {
				t.Fatalf("the control, the ambassador's own: %v", err)
			}
			conn.Close()
			shared := listenShared(t, h.member, mine)
			if _, err := h.net.DialAmbassador(t.Context(), h.group.Name, port); !errors.Is(err, netns.ErrNotOwned) {
				t.Errorf("shared with a member: %v", err)
			}
			l.Close()
			if _, err := h.net.DialAmbassador(t.Context(), h.group.Name, port); !errors.Is(err, netns.ErrNotOwned) {
				t.Errorf("a member's: %v", err)
			}
			shared.Close()
			if _, err := h.net.DialAmbassador(t.Context(), h.group.Name, port); !errors.Is(err, netns.ErrNoListener) {
				t.Errorf("no listener's: %v", err)
			}
		})
	}
	h.expectNothingSent()
}

// The second look stands alone: a member that shares the port after the first look gets some of the
// connections, and each of those is refused. owns approves of all until it is asked for the ends.
func TestRootForwardIsRefusedByItsOtherEnd(t *testing.T) {
	h := newHarness(t, nil)
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 6100)
	l, shared := listenShared(t, h.ambassador, at), listenShared(t, h.member, at)
	defer l.Close()
	defer shared.Close()
	owner, err := h.net.below(h.net.layout.CgroupParent(h.group.Name, "ambassador"), cgroupLevels)
	if err != nil {
		t.Fatal(err)
	}
	took, refused := 0, 0
	for range 40 {
		asked := 0
		conn, err := netns.DialOwned(t.Context(), h.net.layout.NetnsPath(h.group.Name), at.Port(), func(cgroup uint64) bool {
			asked++
			return asked <= 2 || owner[cgroup] // the two listeners pass
		})
		switch {
		case err == nil:
			took++
			conn.Close()
		case errors.Is(err, netns.ErrNotOwned):
			refused++
		default:
			t.Fatal(err)
		}
		for _, s := range []*netnstest.Socket{l, shared} { // or their queues fill up
			if c, err := s.Accept(time.Millisecond); err == nil {
				c.Close()
			}
		}
	}
	if took == 0 || refused == 0 {
		t.Errorf("%d connections were made and %d refused, so this test shows nothing", took, refused)
	}
}

func TestRootForwardWithoutAGroup(t *testing.T) {
	netnstest.Root(t)
	n, err := New(Config{Layout: testLayout(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.DialAmbassador(t.Context(), "never", 80); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "ambassador of never") {
		t.Error(err)
	}
}

// A listener may be of IPv6 and have an address of IPv4, as those of Java do, or be bound to the
// loopback device, which makes the kernel prefer it.
func TestRootForwardFindsTheOtherEnd(t *testing.T) {
	h := newHarness(t, nil)
	mapped := netip.MustParseAddr("::ffff:127.0.0.1")
	for _, tt := range []struct {
		name     string
		at       netip.AddrPort
		device   string
		protocol int
	}{
		{"an IPv4 address of an IPv6 socket", netip.AddrPortFrom(mapped, 6201), "", unix.IPPROTO_TCP},
		{"bound to the device", netip.MustParseAddrPort("127.0.0.1:6202"), "lo", unix.IPPROTO_TCP},
		{"bound to the device, IPv6", netip.MustParseAddrPort("[::]:6203"), "lo", unix.IPPROTO_TCP},
		{"of MPTCP, as Go's are", netip.MustParseAddrPort("[::]:6204"), "", unix.IPPROTO_MPTCP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			listen := func(by *netnstest.Helper) *netnstest.Socket {
				s := must(by.Socket(family(tt.at.Addr()), unix.SOCK_STREAM, tt.protocol))(t)
				err := s.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
				if tt.device != "" {
					err = errors.Join(err, s.SetString(unix.SOL_SOCKET, unix.SO_BINDTODEVICE, tt.device))
				}
				if err := errors.Join(err, s.Bind(tt.at), s.Listen()); err != nil {
					t.Fatal(err)
				}
				return s
			}
			l := listen(h.ambassador)
			conn, err := h.net.DialAmbassador(t.Context(), h.group.Name, tt.at.Port())
			if err != nil {
				t.Errorf("the control, the ambassador's own: %v", err)
			} else {
				conn.Close()
			}
			l.Close()
			defer listen(h.member).Close()
			asked := 0
			_, err = netns.DialOwned(t.Context(), h.net.layout.NetnsPath(h.group.Name), tt.at.Port(), func(uint64) bool {
				asked++
				return asked == 1 // the listener passes
			})
			if !errors.Is(err, netns.ErrNotOwned) || asked != 2 {
				t.Errorf("a member's, after %d of 2 questions: %v", asked, err)
			}
		})
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// A group has no IPv6 where the host has none. A listener of both families is reached all the same.
func TestRootForwardWithoutIPv6(t *testing.T) {
	h := newHarness(t, nil)
	netnstest.Sysctl(t, h.ns, "ipv6/conf/all/disable_ipv6", "1")
	at := netip.AddrPortFrom(netip.IPv6Unspecified(), 6300)
	l := listenShared(t, h.ambassador, at)
	conn, err := h.net.DialAmbassador(t.Context(), h.group.Name, at.Port())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	defer listenShared(t, h.member, at).Close()
	l.Close()
	if _, err := h.net.DialAmbassador(t.Context(), h.group.Name, at.Port()); !errors.Is(err, netns.ErrNotOwned) {
		t.Errorf("a member's: %v", err)
	}
}

// A member that shares the port without listening can connect to the very socket that is
// connecting, while the ambassador's queue is full. Both then have a connection that no listener
// made.
func TestRootForwardRefusesAMemberThatConnectsBack(t *testing.T) {
	h := newHarness(t, nil)
	for _, by := range []struct {
		name  string
		who   *netnstest.Helper
		wrong bool
	}{{"the control, the ambassador", h.ambassador, false}, {"a member", h.member, true}} {
		t.Run(by.name, func(t *testing.T) {
			at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 6400)
			l := listenShared(t, h.ambassador, at)
			defer l.Close()
			back := must(by.who.TCP(at.Addr()))(t)
			defer back.Close()
			if err := errors.Join(back.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), back.Bind(at)); err != nil {
				t.Fatal(err)
			}
			for { // until the queue is full
				s := must(h.ambassador.TCP(at.Addr()))(t)
				defer s.Close()
				if err := s.Connect(at, 100*time.Millisecond); errors.Is(err, unix.ETIMEDOUT) {
					s.Close()
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() {
				conn, err := h.net.DialAmbassador(t.Context(), h.group.Name, at.Port())
				if err == nil {
					conn.Close()
				}
				done <- err
			}()
			from := connecting(t, h.ns)
			if err := back.Connect(from, longWait); err != nil {
				t.Fatalf("connect back to %s: %v", from, err)
			}
			if err := <-done; by.wrong != errors.Is(err, netns.ErrNotOwned) || !by.wrong && err != nil {
				t.Errorf("by %s: %v", by.name, err)
			}
		})
	}
}

// connecting waits for a socket of a namespace that connects, and returns its address on the
// loopback.
func connecting(t *testing.T, ns *os.File) (at netip.AddrPort) {
	t.Helper()
	netnstest.Eventually(t, "something connects", func() bool {
		for _, pair := range netnstest.Connections(t, ns, netnstest.SynSent) {
			local, _, _ := strings.Cut(pair, " ")
			port, err := strconv.ParseUint(local[len(local)-4:], 16, 16)
			at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
			return err == nil
		}
		return false
	})
	return at
}
