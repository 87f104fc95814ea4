package egress_test

import (
	"net/netip"
	"path"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// Without the ambassador a member may bind its port, and so have the other end of a member's
// connection. That end may connect to a published port on which a member listens. The listener must
// not take the caller for one outside: its answer has no socket that the rules could match, and
// looks like the ambassador's.
func TestRootInterceptIsNotCalledBack(t *testing.T) {
	netnstest.Root(t)
	all, _ := policies(t)
	out := netnstest.NewOutside(t)
	apply(t, out.NS, all["intercept"])
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	helperIn := func(cgroup string) *netnstest.Helper {
		cgroup = path.Join(netnstest.CgroupRoot(), cgroup)
		if _, err := h.Make(cgroup); err != nil {
			t.Fatal(err)
		}
		return netnstest.NewHelper(t, out.NS, cgroup)
	}
	member, ambassador := helperIn("g/members/web"), helperIn("g/ambassador/proxy")
	capture := netnstest.NewCapture(t, nil, out.Link)
	// With SYN cookies the answer has no socket for the fence either. The kernel sends them for a
	// listener without a backlog.
	netnstest.Sysctl(t, out.NS, "ipv4/tcp_syncookies", "2")
	if err := egress.Fence(h, path.Join(netnstest.CgroupRoot(), "g/members"), nil); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name                 string
		own, world, loopback netip.Addr
	}{
		{"IPv4", out.Addr4, out.Host4, netip.MustParseAddr("127.0.0.1")},
		{"IPv6", out.Addr6, out.Host6, netip.IPv6Loopback()},
	} {
		t.Run(x.name, func(t *testing.T) {
			own, led := netip.AddrPortFrom(x.own, 443), netip.AddrPortFrom(x.loopback, 15001)
			deaf := bound(t, member, led)
			if err := deaf.Listen(); err != nil {
				t.Fatal(err)
			}
			var waiting []*netnstest.Socket // they fill the listener's backlog: it answers no more
			for range 140 {
				s := bound(t, member, netip.AddrPortFrom(x.loopback, 0))
				waiting = append(waiting, s)
				if s.Connect(led, 100*time.Millisecond) != nil {
					break
				}
			}
			caller := bound(t, member, own)
			if err := caller.Connect(netip.AddrPortFrom(x.world, 443), 100*time.Millisecond); err == nil {
				t.Fatal("the deaf listener answered")
			}
			for _, s := range append(waiting, caller, deaf) {
				s.Close()
			}
			listener := bound(t, member, own)
			if err := listener.Listen(); err != nil {
				t.Fatal(err)
			}
			back := bound(t, member, led)
			_ = back.Connect(own, 300*time.Millisecond) // the result does not matter
			// The control. When it has arrived, all earlier frames have too.
			control := netip.AddrPortFrom(x.world, 7)
			c := bound(t, ambassador, netip.AddrPortFrom(x.own, 0))
			_ = c.Connect(control, 300*time.Millisecond)
			capture.Wait(func(f netnstest.Frame) bool { return !f.Sent && f.Dst == control })
			for _, f := range capture.Frames(func(f netnstest.Frame) bool { return !f.Sent && f.Protocol == unix.IPPROTO_TCP && f.Dst != control }) {
				t.Errorf("seen outside: %+v", f)
			}
			capture.Forget()
		})
	}
}

func bound(t *testing.T, p *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
	t.Helper()
	s, err := p.TCP(at.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(at); err != nil {
		t.Fatal(err)
	}
	return s
}
