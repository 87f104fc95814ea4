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

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// longWait is how long to wait for what must come.
const longWait = 20 * time.Second

// refusedAtOnce checks that a stream is refused before the kernel would send its SYN again, after a
// second (TCP_TIMEOUT_INIT). On a machine that is too busy to show that, it tries again. It returns
// the number of tries.
func refusedAtOnce(t *testing.T, from *netnstest.Helper, to netip.AddrPort) (tries uint64) {
	t.Helper()
	var took time.Duration
	for tries = 1; tries <= 10; tries++ {
		c := must(from.TCP(to.Addr()))(t)
		err := c.Connect(to, longWait)
		took = c.Took
		c.Close()
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("TCP to %s: %v after %s, want a refusal", to, err, took)
			return tries
		}
		if took < time.Second/2 {
			return tries
		}
	}
	t.Errorf("TCP to %s is refused after %s, not at once", to, took)
	return tries - 1
}

// A harness is a host with a network outside and one group that is up.
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
	capture    *netnstest.Capture // on the host's end of the group's link
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

// bringUp makes the group's network, or changes it to what is wanted.
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
	n, err := New(Config{Layout: testLayout(t), Signals: true})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, net: n, out: netnstest.NewOutside(t), group: testGroup("checkout", edit)}
	t.Cleanup(func() { // after the helpers have ended
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

// container starts a helper as the runtime starts a container: in a cgroup of its own below the
// group's.
func (h *harness) container(role spec.Role, name string) *netnstest.Helper {
	h.t.Helper()
	cgroup := h.net.layout.CgroupPath(h.group.Name, role, name)
	must(h.net.cgroups.Make(cgroup))(h.t)
	return netnstest.NewHelper(h.t, h.ns, cgroup)
}

// letMembersBind opens the ambassador's ports to the members, to test what stands behind that.
func (h *harness) letMembersBind() {
	h.t.Helper()
	if err := egress.Fence(h.net.cgroups, h.net.layout.CgroupParent(h.group.Name, spec.App), nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) nft(command string) {
	h.t.Helper()
	netnstest.NFT(h.t, h.ns, command+"\n", "-f", "-")
}

// families returns the outside address of each family.
func (h *harness) families() map[string]netip.Addr {
	return map[string]netip.Addr{"IPv4": h.out.Addr4, "IPv6": h.out.Addr6}
}

// groupAddr returns the group's own address of the family.
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

// expectNothingSent fails if the group has sent anything since the last call, except neighbour
// discovery. The ambassador sends a datagram first. Once the capture has it, it has everything that
// was sent before.
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

// must returns a function that returns v, and fails the test if err is not nil.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// listen makes a listener of a helper.
func listen(t testing.TB, p *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
	t.Helper()
	l := must(p.TCP(at.Addr()))(t)
	if err := errors.Join(l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), l.Bind(at), l.Listen()); err != nil {
		t.Fatal(err)
	}
	return l
}

// exchange connects, and sends a word in each direction.
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

// drain waits until everything that was sent before is captured, and forgets it.
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
