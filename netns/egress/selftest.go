package egress

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/helper"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A SelfTestError describes what the host lacks and the promise needs.
type SelfTestError struct {
	What string // the fault, one line
	Hint string // what to do, one sentence
	Err  error  // may be nil
}

func (e *SelfTestError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

func (e *SelfTestError) Unwrap() error { return e.Err }

const kernelHint = "a kernel of 5.16 or later with CONFIG_NFT_SOCKET, CONFIG_NFT_REJECT_INET and CONFIG_SOCK_CGROUP_DATA is needed; try `modprobe nft_socket nft_reject_inet`"

// Addresses inside the throw-away namespace, from the prefixes for documentation (RFC 5737, RFC
// 3849). No packet leaves it.
var (
	testNear = []netip.Addr{netip.MustParseAddr("192.0.2.0"), netip.MustParseAddr("2001:db8::")}
	testFar  = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
)

// A Verdict is the outcome of the self-test on a kernel that keeps the promise.
type Verdict struct {
	// Joined is why abstract unix sockets join members and ambassador here. A nil error means that
	// [Separate] keeps them apart.
	Joined error
	// Untold is why the kernel can't report refusals. A nil error means that [Policy.Signals] may
	// be set.
	Untold error
}

// SelfTest proves that the rules hold on this kernel, and then that the fence holds without them.
// It makes a throw-away namespace with a link that leads nowhere. There a process in the members'
// cgroup is refused and one in the ambassador's gets through, over TCP and UDP, over IPv4 and, if
// the host has it, IPv6. Then it finds out whether this kernel can separate abstract unix sockets.
// The cgroups are made below cgroupRoot, with a name that [IsSelfTest] knows. The error is a
// [*SelfTestError] if the host lacks something. The process must call [helper.Main] first thing in
// main. It takes some 20 ms, and the first time 50 ms more for reading the kernel's types. On a
// kernel that does not report refusals it waits [ruleset.SignalTime] for a report.
func SelfTest(ctx context.Context, cgroupRoot string) (Verdict, error) {
	return testSelf(ctx, cgroupRoot, Apply)
}

// testSelf is SelfTest with another way to put the rules in force.
func testSelf(ctx context.Context, cgroupRoot string, apply func(*os.File, Policy) (bool, error)) (v Verdict, err error) {
	h, err := cgroup.FindHierarchies()
	if err != nil {
		return v, &SelfTestError{What: "processes can't be told apart", Err: err,
			Hint: "mount cgroup v2, on a hybrid host beside v1: `mount -t cgroup2 none /sys/fs/cgroup/unified`"}
	}
	removeSelfTests(h, cgroupRoot)
	root := path.Join(cgroupRoot, selfTestName())
	defer func() {
		err = errors.Join(err, h.Remove(root))
		h.RemoveIfEmpty(cgroupRoot)
	}()
	t := selfTest{hierarchies: h, apply: apply, ambassador: path.Join(root, "ambassador"), members: path.Join(root, "members")}
	policy := Policy{Mode: Ambassador}
	if policy.Ambassador, err = h.Make(t.ambassador); err == nil {
		policy.Members, err = h.Make(t.members)
	}
	if err != nil {
		return v, &SelfTestError{What: "cgroups can't be made", Err: err, Hint: "run as root, with " + h.V2 + " writable"}
	}
	err = t.run(ctx, policy)
	return t.verdict, err
}

type selfTest struct {
	hierarchies         cgroup.Hierarchies
	apply               func(*os.File, Policy) (bool, error)
	ambassador, members string
	verdict             Verdict
}

func (t *selfTest) run(ctx context.Context, policy Policy) error {
	dir, err := os.MkdirTemp("", "sallyport-selftest-")
	if err != nil {
		return err
	}
	pin := filepath.Join(dir, "netns", "selftest")
	defer func() {
		_ = netns.Remove(pin)
		_ = os.Remove(dir)
	}()
	if err := netns.Apply(netns.Config{Path: pin}); err != nil {
		return &SelfTestError{What: "a network namespace can't be made", Err: err, Hint: "run as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN"}
	}
	ns, err := netns.Open(pin)
	if err != nil {
		return err
	}
	defer ns.Close()
	near, far, err := t.link(ns)
	if err != nil {
		return &SelfTestError{What: "a link can't be made", Err: err, Hint: "CONFIG_VETH is needed; try `modprobe veth`"}
	}
	if err := t.load(ns, policy); err != nil {
		return err
	}
	member, err := t.start(ctx, ns, t.members)
	if err != nil {
		return err
	}
	defer member.Close()
	ambassador, err := t.start(ctx, ns, t.ambassador)
	if err != nil {
		return err
	}
	defer ambassador.Close()
	if err := t.told(ns, policy, member, netip.AddrPortFrom(far[0], 9)); err != nil {
		return err
	}
	for i := range near {
		to := netip.AddrPortFrom(far[i], 9)
		if err := refused(member, to); err != nil {
			return &SelfTestError{What: "a member is not refused", Err: err, Hint: kernelHint}
		}
		if err := passed(ambassador, to); err != nil {
			return &SelfTestError{What: "the ambassador does not get through", Err: err, Hint: kernelHint}
		}
	}
	if err := t.counted(ns); err != nil {
		return err
	}
	if err := t.fenced(ns, member, ambassador, near, far); err != nil {
		return err
	}
	return t.separated(member, ambassador)
}

// load puts the rules in force that the groups of this host get: those with signals, if the kernel
// has them.
func (t *selfTest) load(ns *os.File, policy Policy) error {
	policy.Signals = t.verdict.Untold == nil
	_, err := t.apply(ns, policy)
	if err != nil && policy.Signals {
		t.verdict.Untold = err
		return t.load(ns, policy)
	}
	if err != nil {
		return &SelfTestError{What: "the rules can't be loaded", Err: err, Hint: kernelHint}
	}
	return nil
}

// told finds out whether the kernel reports a refusal at once. If not, the rules are loaded without
// signals. That batch also takes back the message that such a kernel has kept.
func (t *selfTest) told(ns *os.File, policy Policy, member *helper.Process, to netip.AddrPort) error {
	if t.verdict.Untold != nil {
		return nil
	}
	t.verdict.Untold = ruleset.CheckSignal(int(ns.Fd()), TableName, refusedSignal, func() error { return refused(member, to) })
	if t.verdict.Untold == nil {
		return nil
	}
	return t.load(ns, policy)
}

// fenced checks the fence by itself, with the rules gone.
func (t selfTest) fenced(ns *os.File, member, ambassador *helper.Process, near, far []netip.Addr) error {
	const hint = "CONFIG_CGROUP_BPF and CONFIG_BPF_SYSCALL are needed, and CAP_BPF or CAP_SYS_ADMIN"
	if err := Fence(t.hierarchies, t.members, netns.PortsOf(testPort)); err != nil {
		return &SelfTestError{What: "the members' cgroup can't be fenced", Err: err, Hint: hint}
	}
	if err := Remove(ns); err != nil {
		return err
	}
	for i := range near {
		to := netip.AddrPortFrom(far[i], 9)
		udp, err := member.UDP(to.Addr())
		if err != nil {
			return err
		}
		err = udp.SendTo(to, "x")
		udp.Close()
		if !errors.Is(err, unix.EPERM) {
			return &SelfTestError{What: fmt.Sprintf("the fence does not hold a member: UDP to %s: %s", to, answer(err)), Hint: hint}
		}
		if err := passed(ambassador, to); err != nil {
			return &SelfTestError{What: "the fence holds the ambassador", Err: err, Hint: hint}
		}
		if err := t.portClosed(member, ambassador, to.Addr()); err != nil {
			return &SelfTestError{What: "the fence does not keep the ambassador's ports", Err: err, Hint: hint}
		}
	}
	if err := netns.ReservePorts(ns, netns.PortsOf(testPort)); err != nil {
		return &SelfTestError{What: "ports can't be reserved", Err: err, Hint: "/proc/sys/net has to be writable"}
	}
	return nil
}

// testPort is closed to the member. The next one is not.
const testPort = 4711

// portClosed checks that the member can't bind the port, that the ambassador can, and that the
// member can bind another one.
func (t selfTest) portClosed(member, ambassador *helper.Process, like netip.Addr) error {
	wildcard := netip.IPv4Unspecified()
	if like.Is6() {
		wildcard = netip.IPv6Unspecified()
	}
	for _, open := range []func(*helper.Process, netip.Addr) (*helper.Socket, error){(*helper.Process).TCP, (*helper.Process).UDP} {
		for _, x := range []struct {
			who  *helper.Process
			port uint16
			want error
		}{{member, testPort, unix.EPERM}, {ambassador, testPort, nil}, {member, testPort + 1, nil}} {
			s, err := open(x.who, like)
			if err != nil {
				return err
			}
			defer s.Close()
			at := netip.AddrPortFrom(wildcard, x.port)
			if err := s.Bind(at); !errors.Is(err, x.want) {
				return fmt.Errorf("bind %s: %v instead of %v", at, answer(err), answer(x.want))
			}
		}
	}
	return nil
}

// link makes a link whose far side has no address: packets that pass the rules vanish in it.
func (t selfTest) link(ns *os.File) (near, far []netip.Addr, err error) {
	h, err := netlink.NewHandleAt(vnetns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = netns.PeerName
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far"}); err != nil {
		return nil, nil, err
	}
	link, err := h.LinkByName("far")
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return nil, nil, err
	}
	if link, err = h.LinkByName(netns.PeerName); err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return nil, nil, err
	}
	near, far = testNear, testFar
	if !netns.HasIPv6() {
		near, far = near[:1], far[:1]
	}
	for _, a := range near {
		if err := netns.AddAddress(h, link, a); err != nil {
			return nil, nil, err
		}
	}
	return near, far, nil
}

func (t selfTest) start(ctx context.Context, ns *os.File, path string) (*helper.Process, error) {
	dir, err := os.Open(filepath.Join(t.hierarchies.V2, path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	p, err := helper.Start(ctx, helper.Config{NetNS: ns, Cgroup: dir})
	if err != nil {
		return nil, &SelfTestError{What: "a process can't be started in a cgroup", Err: err, Hint: "a kernel of 5.7 or later and a writable cgroup v2 are needed"}
	}
	return p, nil
}

// resetWithin is how long a reset may take. It takes microseconds, but longer on an overloaded
// machine. A daemon started on one must not take that for a kernel without resets.
const resetWithin = 5 * time.Second

// refused checks that both protocols fail at once, with the answer of the rules.
func refused(p *helper.Process, to netip.AddrPort) error {
	tcp, err := p.TCP(to.Addr())
	if err != nil {
		return err
	}
	defer tcp.Close()
	if err := tcp.Connect(to, resetWithin); !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("TCP to %s: %v instead of a reset", to, answer(err))
	}
	udp, err := p.UDP(to.Addr())
	if err != nil {
		return err
	}
	defer udp.Close()
	if err := udp.SendTo(to, "x"); !isDenied(err) {
		return fmt.Errorf("UDP to %s: %v instead of a refusal", to, answer(err))
	}
	return nil
}

// isDenied reports whether a caller gets this error when its packet is dropped or rejected
// on its way out.
func isDenied(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ECONNREFUSED)
}

// passed checks that both protocols leave: the datagram is accepted, and the connection gets no
// answer.
func passed(p *helper.Process, to netip.AddrPort) error {
	udp, err := p.UDP(to.Addr())
	if err != nil {
		return err
	}
	defer udp.Close()
	if err := udp.SendTo(to, "x"); err != nil {
		return fmt.Errorf("UDP to %s: %w", to, err)
	}
	tcp, err := p.TCP(to.Addr())
	if err != nil {
		return err
	}
	defer tcp.Close()
	if err := tcp.Connect(to, time.Millisecond); !errors.Is(err, unix.ETIMEDOUT) {
		return fmt.Errorf("TCP to %s: %v", to, answer(err))
	}
	return nil
}

func answer(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if err != nil {
		return err.Error()
	}
	return "success"
}

// counted checks by the counters that the right rules decided.
func (t selfTest) counted(ns *os.File) error {
	c, err := ReadCounters(ns)
	if err != nil {
		return &SelfTestError{What: "the rules' counters can't be read", Err: err, Hint: kernelHint}
	}
	if c.MembersTCP.Packets == 0 || c.MembersOther.Packets == 0 || c.AmbassadorOut.Packets == 0 {
		return &SelfTestError{What: fmt.Sprintf("the rules did not recognise the senders: %+v", c), Hint: kernelHint}
	}
	return nil
}
