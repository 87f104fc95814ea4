package network

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const interceptPort = 15001

func withIntercept(g *spec.Group) { g.Ambassador().Intercept = interceptPort }

func loopbackOf(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.MustParseAddr("127.0.0.1")
	}
	return netip.IPv6Loopback()
}

// interceptor returns the ambassador's listener for intercepted connections.
func (h *harness) interceptor(like netip.Addr) *netnstest.Socket {
	h.t.Helper()
	return listen(h.t, h.ambassador, netip.AddrPortFrom(loopbackOf(like), interceptPort))
}

// tracked returns the connections that the kernel tracks in the group's namespace.
func (h *harness) tracked() (out []string) {
	h.t.Helper()
	listed := true
	netnstest.In(h.t, h.ns, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/nf_conntrack")
		if errors.Is(err, os.ErrNotExist) {
			listed = false
			return nil
		}
		if lines := strings.TrimSpace(string(text)); lines != "" {
			out = strings.Split(lines, "\n")
		}
		return err
	})
	const missing = "this kernel does not list tracked connections"
	switch {
	case listed:
	case os.Getenv("CI") != "":
		h.t.Fatal(missing)
	default:
		h.t.Skip(missing)
	}
	return out
}

// A member's TCP connection to any destination comes to the ambassador, which can read the
// destination. Nothing of it is seen outside. Other protocols are refused as without interception.
func TestRootIntercept(t *testing.T) {
	h := newHarness(t, withIntercept)
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			to := netip.AddrPortFrom(addr, 443)
			outside := listen(t, h.remote, to)
			defer outside.Close()
			if err := exchange(t, h.ambassador, to, outside); err != nil {
				t.Fatalf("control: the ambassador does not get through: %v", err)
			}
			h.drain()
			for _, where := range []netip.AddrPort{to, netip.AddrPortFrom(addr, interceptPort), netip.AddrPortFrom(addr.Next(), 1)} {
				h.expectIntercepted(where)
			}
			if _, err := outside.Accept(0); !errors.Is(err, unix.ETIMEDOUT) {
				t.Errorf("the remote host accepted a member: %v", err)
			}
			// Without a listener the connection is refused at once, as by a closed port.
			refusedAtOnce(t, h.member, to)
			// Connections inside the group are not intercepted.
			own := netip.AddrPortFrom(h.groupAddr(addr), 8080)
			l := listen(t, h.ambassador, own)
			defer l.Close()
			if err := exchange(t, h.member, own, l); err != nil {
				t.Errorf("to the group's own address: %v", err)
			}
			h.expectNothingSent()
			ask := must(h.member.UDP(addr))(t)
			defer ask.Close()
			if err := ask.SendTo(to, "x"); err == nil {
				t.Error("UDP was sent")
			}
			h.expectNothingSent()
		})
	}
	h.t = t
	h.expectDenials(denial("web", "udp", netip.AddrPortFrom(h.out.Addr4, 443), 1), denial("web", "udp", netip.AddrPortFrom(h.out.Addr6, 443), 1))
	if c := must(h.net.Counters(h.group.Name))(t); c.MembersIntercepted.Packets == 0 || c.MembersTCP.Packets != 0 {
		t.Errorf("counters are %+v; want TCP of members intercepted and none refused", c)
	}
}

// expectIntercepted fails unless a member's connection to the address comes to the ambassador and
// works.
func (h *harness) expectIntercepted(to netip.AddrPort) {
	h.t.Helper()
	l := h.interceptor(to.Addr())
	defer l.Close()
	c := must(h.member.TCP(to.Addr()))(h.t)
	defer c.Close()
	if err := c.Connect(to, longWait); err != nil {
		h.t.Errorf("connect to %s: %v", to, err)
		return
	}
	a := must(l.Accept(longWait))(h.t)
	defer a.Close()
	if got, err := a.OriginalDest(); err != nil || got != to {
		h.t.Errorf("the ambassador reads the original destination %s, %v; want %s", got, err, to)
	}
	for _, way := range [][2]*netnstest.Socket{{c, a}, {a, c}} {
		if err := way[0].Send("word"); err != nil {
			h.t.Error(err)
		}
		if got, _, err := way[1].Receive(longWait); got != "word" || err != nil {
			h.t.Errorf("received %q, %v", got, err)
		}
	}
}

// The kernel tracks the intercepted connections. It tracks neither the ambassador's own nor those
// inside the group.
func TestRootInterceptTracksMembersAlone(t *testing.T) {
	h := newHarness(t, func(g *spec.Group) { withIntercept(g); withPublish(g) })
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			host := h.out.Host4
			if addr.Is6() {
				host = h.out.Host6
			}
			to := netip.AddrPortFrom(addr, 443)
			outside, inside := listen(t, h.remote, to), listen(t, h.ambassador, netip.AddrPortFrom(unspecified(addr), 443))
			defer outside.Close()
			defer inside.Close()
			l := h.interceptor(addr)
			before := len(h.tracked())
			if err := errors.Join(
				exchange(t, h.ambassador, to, outside),
				exchange(t, h.remote, netip.AddrPortFrom(host, 8443), inside),
				exchange(t, h.member, netip.AddrPortFrom(loopbackOf(addr), 443), inside),
				exchange(t, h.member, netip.AddrPortFrom(loopbackOf(addr), interceptPort), l),
			); err != nil {
				t.Fatal(err)
			}
			_ = must(h.ambassador.UDP(addr))(t).SendTo(netip.AddrPortFrom(addr, 53), "x")
			h.drain()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := h.tracked(); len(got) != before {
				t.Errorf("tracked, although not intercepted:\n%s", strings.Join(got, "\n"))
			}
			h.expectIntercepted(to)
			if got := h.tracked(); len(got) != before+1 {
				t.Errorf("control: %d connections are tracked after one was intercepted, %d before", len(got), before)
			}
		})
	}
}

// Interception is turned on and off while the group runs. An intercepted flow ends with it. The
// ambassador's own flows go on.
func TestRootInterceptTurnedOnAndOff(t *testing.T) {
	h := newHarness(t, nil)
	to := netip.AddrPortFrom(h.out.Addr4, 443)
	outside := listen(t, h.remote, to)
	defer outside.Close()
	flow := must(h.ambassador.TCP(to.Addr()))(t)
	if err := flow.Connect(to, longWait); err != nil {
		t.Fatal(err)
	}
	far := must(outside.Accept(longWait))(t)
	for range 2 {
		for _, port := range []uint16{0, interceptPort} {
			h.group.Ambassador().Intercept = port
			bringUp(t, h.net, h.group)
			if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
				t.Errorf("intercept %d: rules are %v", port, got)
			}
			if err := flow.Send("on"); err != nil {
				t.Error(err)
			}
			if got, _, err := far.Receive(longWait); got != "on" || err != nil {
				t.Errorf("intercept %d: a flow of the ambassador received %q, %v", port, got, err)
			}
			if port != 0 {
				h.expectIntercepted(to)
				continue
			}
			c := must(h.member.TCP(to.Addr()))(t)
			if err := c.Connect(to, longWait); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("not intercepting: %v, want a refusal", err)
			}
			c.Close()
		}
	}
	h.drain()
	l := h.interceptor(to.Addr())
	defer l.Close()
	c := must(h.member.TCP(to.Addr()))(t)
	if err := c.Connect(to, longWait); err != nil {
		t.Fatal(err)
	}
	a := must(l.Accept(longWait))(t)
	withIntercept(h.group)
	h.group.Ambassador().Intercept = 0
	bringUp(t, h.net, h.group)
	_ = c.Send("no more")
	if _, _, err := c.Receive(longWait); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("an intercepted flow, after interception was turned off: %v, want a reset", err)
	}
	_ = a.Send("no more")
	h.expectNothingSent()
}

// Without fwmark_reflect the kernel's answers could leave. A change of it is noticed and repaired.
func TestRootInterceptNoticesReflectionOff(t *testing.T) {
	h := newHarness(t, withIntercept)
	netnstest.Sysctl(t, h.ns, "ipv6/fwmark_reflect", "0")
	if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
		t.Errorf("rules are %v, want absent", got)
	}
	bringUp(t, h.net, h.group)
	if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
		t.Errorf("rules are %v after repair, want present", got)
	}
}
