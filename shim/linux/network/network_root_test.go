package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

const longWait = 2 * time.Second

// A harness is a host with a world outside and one group that is up.
type harness struct {
	t          *testing.T
	net        *Network
	out        *netnstest.Outside
	group      *spec.Group
	ns         *os.File
	ambassador *netnstest.Helper
	member     *netnstest.Helper
	remote     *netnstest.Helper // outside
	host       *netnstest.Helper
	capture    *netnstest.Capture
}

func testLayout(t *testing.T) layout.Layout {
	dir := t.TempDir()
	return layout.Layout{
		RunDir:     filepath.Join(dir, "run"),
		CgroupRoot: netnstest.CgroupRoot(),
		Table:      "sallyport",
		Prefix4:    "10.209.0.0/16",
		Prefix6:    "fd5a:11e0:9027::/64",
	}
}

func testGroup(name string, edit func(*spec.Group)) *spec.Group {
	g := &spec.Group{Name: name, Egress: spec.EgressAmbassador, Containers: []spec.Container{
		{Name: "proxy", Role: spec.Ambassador}, {Name: "web", Role: spec.App},
	}}
	if edit != nil {
		edit(g)
	}
	return g
}

func bringUp(t *testing.T, n *Network, g *spec.Group) {
	t.Helper()
	for _, step := range []func() error{
		func() error { return n.Seal(t.Context(), g.Name) },
		func() error { return n.Admit(t.Context(), g) },
		func() error { return n.Connect(t.Context(), g) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func newHarness(t *testing.T, edit func(*spec.Group)) *harness {
	t.Helper()
	netnstest.Root(t)
	n, err := New(Config{Layout: testLayout(t)})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, net: n, out: netnstest.NewOutside(t), group: testGroup("checkout", edit)}
	t.Cleanup(func() { // after the probes have ended
		if err := n.Remove(t.Context(), h.group.Name); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	bringUp(t, n, h.group)
	if h.ns, err = n.open(h.group.Name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.ns.Close() })
	h.ambassador = h.container(spec.Ambassador, "proxy")
	h.member = h.container(spec.App, "web")
	h.remote = netnstest.NewHelper(t, h.out.NS, "")
	h.host = netnstest.NewHelper(t, nil, "")
	h.capture = netnstest.NewCapture(t, nil, n.linkName(h.group.Name))
	return h
}

// container starts a probe as the runtime starts a container: in a cgroup of its own below the group's.
func (h *harness) container(role spec.Role, name string) *netnstest.Helper {
	h.t.Helper()
	cgroup := h.net.layout.CgroupPath(h.group.Name, role, name)
	must(h.net.cgroups.Make(cgroup))(h.t)
	return netnstest.NewHelper(h.t, h.ns, cgroup)
}

func (h *harness) nft(command string) {
	h.t.Helper()
	netnstest.NFT(h.t, h.ns, command+"\n", "-f", "-")
}

func (h *harness) families() map[string]netip.Addr {
	return map[string]netip.Addr{"IPv4": h.out.Addr4, "IPv6": h.out.Addr6}
}

// groupAddr is the group's own address of the family.
func (h *harness) groupAddr(like netip.Addr) netip.Addr {
	h.t.Helper()
	pair, err := h.net.pair(h.group.Name)
	if err != nil {
		h.t.Fatal(err)
	}
	if like.Is4() {
		return pair.Group4
	}
	return pair.Group6
}

// expectNothingSent fails if the group has sent anything since the last look, but for neighbour discovery. It has the ambassador send a
// datagram first: once that is seen, so is all before it.
func (h *harness) expectNothingSent() {
	h.t.Helper()
	mark := netip.AddrPortFrom(h.out.Addr4, 7)
	sock := must(h.ambassador.UDP(mark.Addr()))(h.t)
	defer sock.Close()
	if err := sock.SendTo(mark, "mark"); err != nil {
		h.t.Fatal(err)
	}
	isMark := func(f netnstest.Frame) bool { return !f.Sent && f.Dst == mark }
	h.capture.Wait(isMark)
	for _, f := range h.capture.Frames(func(f netnstest.Frame) bool { return !f.Sent && f.Protocol != 0 && !isMark(f) && !discovery(f) }) {
		h.t.Errorf("the group sent protocol %d from %s to %s: %x", f.Protocol, f.Src, f.Dst, f.Bytes)
	}
	h.capture.Forget()
}

func discovery(f netnstest.Frame) bool {
	return f.Protocol == unix.IPPROTO_ICMPV6 && len(f.Bytes) > 54 && (f.Bytes[54] == 135 || f.Bytes[54] == 136)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// listen makes a listener of a probe.
func listen(t testing.TB, p *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
	t.Helper()
	l := must(p.TCP(at.Addr()))(t)
	if err := errors.Join(l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), l.Bind(at), l.Listen()); err != nil {
		t.Fatal(err)
	}
	return l
}

// exchange connects, and has a word go there and one come back.
func exchange(t testing.TB, from *netnstest.Helper, to netip.AddrPort, listener *netnstest.Socket) error {
	t.Helper()
	c := must(from.TCP(to.Addr()))(t)
	defer c.Close()
	if err := c.Connect(to, longWait); err != nil {
		return fmt.Errorf("connect to %s: %w", to, err)
	}
	a, err := listener.Accept(longWait)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	defer a.Close()
	if err := c.Send("ask"); err != nil {
		return err
	}
	if got, _, err := a.Receive(longWait); err != nil || got != "ask" {
		return fmt.Errorf("received %q: %w", got, err)
	}
	if err := a.Send("answer"); err != nil {
		return err
	}
	if got, _, err := c.Receive(longWait); err != nil || got != "answer" {
		return fmt.Errorf("received %q: %w", got, err)
	}
	return nil
}

func TestRootMembersAreRefusedAtOnce(t *testing.T) {
	h := newHarness(t, nil)
	for name, addr := range h.families() {
		t.Run(name, func(t *testing.T) {
			h.t = t
			to := netip.AddrPortFrom(addr, 443)
			l := listen(t, h.remote, to)
			defer l.Close()

			if err := exchange(t, h.ambassador, to, l); err != nil {
				t.Fatalf("control: the ambassador does not get through: %v", err)
			}
			h.drain()

			tcp := must(h.member.TCP(addr))(t)
			defer tcp.Close()
			if err := tcp.Connect(to, longWait); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("TCP: %v, want a refusal", err)
			}
			if tcp.Took > 100*time.Millisecond {
				t.Errorf("TCP was refused after %s, not at once", tcp.Took)
			}
			udp := must(h.member.UDP(addr))(t)
			defer udp.Close()
			if err := udp.SendTo(to, "x"); err == nil {
				t.Error("UDP was sent")
			}
			t.Logf("refused: TCP %s, UDP %s", tcp.Took, udp.Took)
			icmp := must(h.member.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
			defer icmp.Close()
			if err := icmp.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); err == nil {
				t.Error("ICMP was sent")
			}
			h.expectNothingSent()

			raw := must(h.ambassador.Socket(domain(addr), unix.SOCK_RAW, icmpProtocol(addr)))(t)
			defer raw.Close()
			if err := raw.SendTo(netip.AddrPortFrom(addr, 0), string(echoRequest(addr))); err != nil {
				t.Errorf("control: ICMP of the ambassador: %v", err)
			}
			h.capture.Wait(func(f netnstest.Frame) bool {
				return !f.Sent && int(f.Protocol) == icmpProtocol(addr) && f.Dst.Addr() == addr
			})
			h.drain()
		})
	}
	c, err := h.net.Counters(h.group.Name)
	if err != nil {
		t.Fatal(err)
	}
	if c.MembersTCP.Packets != 2 || c.MembersOther.Packets != 4 || c.AmbassadorOut.Packets == 0 {
		t.Errorf("counters are %+v; want 2 TCP packets and 4 others of members", c)
	}
}

// drain waits until the connections just closed have said all they have to say.
func (h *harness) drain() {
	h.t.Helper()
	mark := netip.AddrPortFrom(h.out.Addr4, 8)
	sock := must(h.ambassador.UDP(mark.Addr()))(h.t)
	defer sock.Close()
	if err := sock.SendTo(mark, "mark"); err != nil {
		h.t.Fatal(err)
	}
	h.capture.Wait(func(f netnstest.Frame) bool { return !f.Sent && f.Dst == mark })
	h.capture.Forget()
}

func domain(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func icmpProtocol(a netip.Addr) int {
	if a.Is4() {
		return unix.IPPROTO_ICMP
	}
	return unix.IPPROTO_ICMPV6
}

func echoRequest(a netip.Addr) []byte {
	if a.Is4() {
		return []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	}
	return []byte{128, 0, 0, 0, 0, 0, 0, 0}
}
