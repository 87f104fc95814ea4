package network

import (
	"errors"
	"net/netip"
	"os"
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
