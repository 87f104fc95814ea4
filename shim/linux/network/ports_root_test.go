package network

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// withPorts gives the ambassador ports of every kind.
func withPorts(g *spec.Group) {
	withPublish(g)
	withIntercept(g)
	g.DNS = spec.DNSAmbassador
	g.Ambassador().Upstreams = []spec.Upstream{{Name: "payments", Listen: 9100}}
}

var ambassadorPorts = []uint16{443, 53, 8001, 9100, interceptPort}

// share tries to bind an address beside others. The socket goes when its process ends.
func share(t *testing.T, p *netnstest.Helper, domain, kind int, at netip.AddrPort) (*netnstest.Socket, error) {
	t.Helper()
	s := must(p.Socket(domain, kind, 0))(t)
	err := errors.Join(s.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), s.Bind(at))
	if err != nil {
		s.Close()
	}
	return s, err
}

// detach takes away what is attached to the members' cgroup at one hook.
func detach(t *testing.T, n *Network, group string, hook ebpf.AttachType) {
	t.Helper()
	dir := must(os.Open(filepath.Join(n.cgroups.V2, n.layout.CgroupParent(group, spec.App))))(t)
	defer dir.Close()
	for _, x := range must(link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: hook}))(t).Programs {
		p := must(ebpf.NewProgramFromID(x.ID))(t)
		err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: hook})
		p.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A member can bind no port of the ambassador: before the ambassador has bound it, beside it, and
// after it has gone. It can bind others.
func TestRootMembersCantBindTheAmbassadorsPorts(t *testing.T) {
	h := newHarness(t, withPorts)
	for name, addr := range h.families() {
		addrs := []netip.Addr{unspecified(addr), loopbackOf(addr), h.groupAddr(addr)}
		if addr.Is6() {
			addrs = append(addrs, netip.MustParseAddr("::ffff:0.0.0.0"), netip.MustParseAddr("::ffff:127.0.0.1"))
		}
		refused := func(when string) {
			t.Helper()
			for _, port := range ambassadorPorts {
				for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
					for _, a := range addrs {
						if _, err := share(t, h.member, domain(addr), kind, netip.AddrPortFrom(a, port)); !errors.Is(err, unix.EPERM) {
							t.Errorf("%s, %s: a member binds %s port %d with kind %d: %v, want %v", name, when, a, port, kind, err, unix.EPERM)
						}
					}
				}
			}
		}
		refused("before the ambassador")
		var bound []*netnstest.Socket
		for _, port := range ambassadorPorts {
			for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				s, err := share(t, h.ambassador, domain(addr), kind, netip.AddrPortFrom(unspecified(addr), port))
				if err != nil {
					t.Fatalf("control: the ambassador binds port %d with kind %d: %v", port, kind, err)
				}
				bound = append(bound, s)
				other, err := share(t, h.member, domain(addr), kind, netip.AddrPortFrom(unspecified(addr), port+1))
				if err != nil {
					t.Errorf("control: a member binds port %d with kind %d: %v", port+1, kind, err)
				}
				bound = append(bound, other)
			}
		}
		refused("beside the ambassador")
		for _, s := range bound {
			s.Close()
		}
		refused("after the ambassador")
	}
}

// Callers of a published port all reach the ambassador, whatever a member tries before and after
// the ambassador has bound it. The control lets the member bind, and a caller gets no answer.
func TestRootCallersAllReachTheAmbassador(t *testing.T) {
	h := newHarness(t, withPublish)
	for name, addr := range h.families() {
		hostAddr := h.out.Host4
		if addr.Is6() {
			hostAddr = h.out.Host6
		}
		at := netip.AddrPortFrom(unspecified(addr), 443)
		// compete has the member try on both sides of the ambassador, and returns the first failure
		// of 15 callers, who wait that long.
		compete := func(wait time.Duration) (failed error) {
			var all []*netnstest.Socket
			defer func() {
				for _, s := range all {
					s.Close()
				}
			}()
			try := func() {
				for range 4 {
					if s, err := share(t, h.member, domain(addr), unix.SOCK_STREAM, at); err == nil && s.Listen() == nil {
						all = append(all, s)
					}
				}
			}
			try()
			l, err := share(t, h.ambassador, domain(addr), unix.SOCK_STREAM, at)
			if err = errors.Join(err, l.Listen()); err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
			try()
			for range 15 {
				c := must(h.remote.TCP(addr))(t)
				failed = errors.Join(failed, c.Connect(netip.AddrPortFrom(hostAddr, 8443), wait))
				c.Close()
				if failed != nil {
					return failed
				}
			}
			return nil
		}
		if err := compete(longWait); err != nil {
			t.Errorf("%s: a caller does not reach the ambassador: %v", name, err)
		}
		h.letMembersBind()
		if err := compete(shortWait); err == nil {
			t.Errorf("%s: control: all callers reach the ambassador although a member shares its port", name)
		}
		bringUp(t, h.net, h.group)
		if err := compete(longWait); err != nil {
			t.Errorf("%s: after the fence was put back: %v", name, err)
		}
	}
}

// The kernel gives no port of the ambassador to a member's socket that has none of its own and
// listens, connects or sends.
func TestRootTheKernelChoosesNoPortOfTheAmbassador(t *testing.T) {
	const first, free = 40000, 40003
	h := newHarness(t, func(g *spec.Group) {
		for i, name := range []string{"a", "b", "c"} {
			g.Ambassador().Upstreams = append(g.Ambassador().Upstreams, spec.Upstream{Name: name, Listen: uint16(first + i)})
		}
	})
	netnstest.Sysctl(t, h.ns, "ipv4/ip_local_port_range", "40000 40003")
	for name, addr := range h.families() {
		for kind, use := range map[string]func() (*netnstest.Socket, error){
			"listen": func() (*netnstest.Socket, error) {
				s := must(h.member.TCP(addr))(t)
				return s, s.Listen()
			},
			"bind to port 0": func() (*netnstest.Socket, error) {
				return share(t, h.member, domain(addr), unix.SOCK_DGRAM, netip.AddrPortFrom(unspecified(addr), 0))
			},
			"send": func() (*netnstest.Socket, error) {
				s := must(h.member.UDP(addr))(t)
				return s, s.SendTo(netip.AddrPortFrom(loopbackOf(addr), 9), "x")
			},
			"connect": func() (*netnstest.Socket, error) {
				s := must(h.member.UDP(addr))(t)
				return s, s.Connect(netip.AddrPortFrom(loopbackOf(addr), 9), longWait)
			},
		} {
			for range 8 { // the kernel begins at a random port
				s, err := use()
				if err != nil {
					t.Fatalf("%s, %s: %v", name, kind, err)
				}
				if at := must(s.Local())(t); at.Port() != free {
					t.Errorf("%s, %s: a member got port %d, want %d", name, kind, at.Port(), free)
				}
				s.Close()
			}
		}
		// All other ports are taken: nothing is left to listen on, but for the control.
		l := listen(t, h.member, netip.AddrPortFrom(unspecified(addr), free))
		s := must(h.member.TCP(addr))(t)
		if err := s.Listen(); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s: a member listens with no port left: %v", name, err)
		}
		if err := netns.ReservePorts(h.ns, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err != nil {
			t.Errorf("%s: control: no port is reserved, and a member does not listen: %v", name, err)
		}
		s.Close()
		l.Close()
		bringUp(t, h.net, h.group)
	}
}

// The closed ports are those of the definition, while the group runs. A port that stays is closed
// at every moment.
func TestRootClosedPortsFollowTheDefinition(t *testing.T) {
	h := newHarness(t, withPublish)
	at := netip.MustParseAddrPort("0.0.0.0:443")
	publish := func(port uint16) {
		h.group.Ambassador().Publish = []spec.Publish{
			{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}, {Name: "admin", Host: 9000, Port: port, Protocol: "tcp"},
		}
	}
	binds := func(port uint16) error {
		s, err := share(t, h.member, unix.AF_INET, unix.SOCK_STREAM, netip.AddrPortFrom(at.Addr(), port))
		if err == nil {
			s.Close()
		}
		return err
	}
	for _, x := range []struct{ closed, open uint16 }{{9001, 9002}, {9002, 9001}, {9001, 9002}} {
		publish(x.closed)
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
			t.Errorf("before the change rules are %v, want absent", got)
		}
		bringUp(t, h.net, h.group)
		if got := h.net.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
			t.Errorf("after the change rules are %v, want present", got)
		}
		if err := binds(x.closed); !errors.Is(err, unix.EPERM) {
			t.Errorf("a member binds the new port: %v", err)
		}
		if err := binds(x.open); err != nil {
			t.Errorf("a member binds the earlier port: %v", err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := range uint16(40) {
			publish(9001 + i%2)
			err = errors.Join(err, h.net.Admit(t.Context(), h.group))
		}
		ended <- err
	}()
	for tries := 0; ; tries++ {
		if err := binds(443); !errors.Is(err, unix.EPERM) {
			t.Fatalf("a member binds a port during changes of others, at try %d: %v", tries, err)
		}
		select {
		case err := <-ended:
			if err != nil || tries < 10 {
				t.Errorf("%d tries during the changes: %v", tries, err)
			}
			return
		default:
		}
	}
}

// A running group of an older daemon, whose fence has no ports, gets them without a restart. So
// does one whose ports an operator has changed.
func TestRootPortsOfAnOlderGroupAreClosed(t *testing.T) {
	h := newHarness(t, withPorts)
	members := h.net.layout.CgroupParent(h.group.Name, spec.App)
	for name, change := range map[string]func(){
		"an older daemon's": func() {
			detach(t, h.net, h.group.Name, ebpf.AttachCGroupInet4Bind)
			detach(t, h.net, h.group.Name, ebpf.AttachCGroupInet6Bind)
			if err := netns.ReservePorts(h.ns, nil); err != nil {
				t.Fatal(err)
			}
		},
		"only the ports are not reserved": func() {
			if err := netns.ReservePorts(h.ns, nil); err != nil {
				t.Fatal(err)
			}
		},
		"IPv4 open": func() { detach(t, h.net, h.group.Name, ebpf.AttachCGroupInet4Bind) },
		"IPv6 open": func() { detach(t, h.net, h.group.Name, ebpf.AttachCGroupInet6Bind) },
		"other ports": func() {
			if err := egress.Fence(h.net.cgroups, members, netns.PortsOf(444)); err != nil {
				t.Fatal(err)
			}
		},
		"no fence": func() {
			if err := egress.Unfence(h.net.cgroups, members); err != nil {
				t.Fatal(err)
			}
		},
	} {
		d, names := h.net.NewDrift(), []string{h.group.Name}
		for range settleAfter {
			d.Changed(names)
		}
		if got := d.Changed(names); got != nil {
			t.Fatalf("changed although settled: %v", got)
		}
		change()
		if d.Changed(names) == nil {
			t.Errorf("%s: not noticed", name)
		}
		later := newNetwork(t, h.net.layout)
		if got := later.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Absent {
			t.Errorf("%s: rules are %v, want absent", name, got)
		}
		bringUp(t, later, h.group)
		if got := later.Observe(t.Context(), h.group.Name, h.group).Rules; got != host.Present {
			t.Errorf("%s: rules are %v after repair, want present", name, got)
		}
		for _, addr := range h.families() {
			if _, err := share(t, h.member, domain(addr), unix.SOCK_STREAM, netip.AddrPortFrom(unspecified(addr), 443)); !errors.Is(err, unix.EPERM) {
				t.Errorf("%s: a member binds port 443: %v", name, err)
			}
		}
	}
}

// A group whose members leave directly has neither a fence nor closed ports.
func TestRootDirectHasNoFence(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", withPublish)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	direct := &spec.Group{Name: g.Name, Egress: spec.EgressDirect, Containers: []spec.Container{{Name: "web", Role: spec.App}}}
	if got := n.Observe(t.Context(), g.Name, direct).Rules; got != host.Absent {
		t.Errorf("before the change rules are %v, want absent", got)
	}
	bringUp(t, n, direct)
	if got := n.Observe(t.Context(), g.Name, direct).Rules; got != host.Present {
		t.Errorf("rules are %v, want present", got)
	}
	if ok, err := egress.Unfenced(n.cgroups, n.layout.CgroupParent(g.Name, spec.App)); err != nil || !ok {
		t.Errorf("unfenced: %v, %v", ok, err)
	}
	ns := must(n.open(g.Name))(t)
	defer ns.Close()
	if got, err := netns.ReservedPorts(ns); err != nil || got != nil {
		t.Errorf("reserved ports %v, %v; want none", got, err)
	}
}
