package egress_test

import (
	"errors"
	"net/netip"
	"os"
	"path"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A fencePair is a member and an ambassador in one namespace, without a fence.
type fencePair struct {
	h                  cgroup.Hierarchies
	ns                 *os.File
	members            string
	member, ambassador *netnstest.Helper
}

func newFencePair(t *testing.T) fencePair {
	t.Helper()
	netnstest.Root(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	root := netnstest.CgroupRoot()
	t.Cleanup(func() {
		if err := h.Remove(root); err != nil {
			t.Error(err)
		}
	})
	ns := netnstest.NewNamespace(t)
	helperIn := func(below string) *netnstest.Helper {
		if _, err := h.Make(path.Join(root, below)); err != nil {
			t.Fatal(err)
		}
		return netnstest.NewHelper(t, ns, path.Join(root, below))
	}
	return fencePair{h, ns, path.Join(root, "g/members"), helperIn("g/members/web"), helperIn("g/ambassador/proxy")}
}

func (f fencePair) fence(t *testing.T, closed netns.Ports) {
	t.Helper()
	if err := egress.Fence(f.h, f.members, closed); err != nil {
		t.Fatal(err)
	}
}

// binds tries to share the port, with a socket of the kind, at the wildcard address.
func binds(t *testing.T, p *netnstest.Helper, domain, kind, protocol int, port uint16) error {
	t.Helper()
	s, err := p.Socket(domain, kind, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	if domain == unix.AF_INET6 {
		at = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	}
	return errors.Join(s.SetInt(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), s.Bind(at))
}

// The fence refuses exactly its ports, whatever the protocol and the family, and only to members.
func TestRootFenceClosesPorts(t *testing.T) {
	f := newFencePair(t)
	closed := netns.PortsOf(1, 443, 8080, 8081, 8082, 65535)
	f.fence(t, closed)
	for _, domain := range []int{unix.AF_INET, unix.AF_INET6} {
		for name, protocol := range map[string]int{"TCP": unix.IPPROTO_TCP, "MPTCP": unix.IPPROTO_MPTCP, "UDP": unix.IPPROTO_UDP, "UDP-Lite": unix.IPPROTO_UDPLITE} {
			kind := unix.SOCK_STREAM
			if protocol == unix.IPPROTO_UDP || protocol == unix.IPPROTO_UDPLITE {
				kind = unix.SOCK_DGRAM
			}
			if s, err := f.member.Socket(domain, kind, protocol); err != nil {
				t.Logf("%s: this kernel has none: %v", name, err)
				continue
			} else {
				s.Close()
			}
			for _, x := range []struct {
				port   uint16
				closed bool
			}{{0, false}, {1, true}, {2, false}, {442, false}, {443, true}, {444, false}, {8079, false}, {8080, true}, {8081, true}, {8082, true}, {8083, false}, {65534, false}, {65535, true}} {
				var want error
				if x.closed {
					want = unix.EPERM
				}
				if err := binds(t, f.member, domain, kind, protocol, x.port); !errors.Is(err, want) {
					t.Errorf("a member binds %s port %d: %v, want %v", name, x.port, err, want)
				}
				if err := binds(t, f.ambassador, domain, kind, protocol, x.port); err != nil {
					t.Errorf("control: the ambassador binds %s port %d: %v", name, x.port, err)
				}
			}
		}
	}
}

// A fence has exactly the ports of the last call. Another process sees the same.
func TestRootFenceChangesPorts(t *testing.T) {
	f := newFencePair(t)
	var odd []uint16
	for p := 1; p < 2000; p += 2 {
		odd = append(odd, uint16(p))
	}
	sets := map[string]netns.Ports{"none": nil, "one": netns.PortsOf(443), "another": netns.PortsOf(444), "both": netns.PortsOf(443, 444),
		"a range": netns.PortsOf(442, 443, 444), "all": {{First: 1, Last: 65535}}, "every second": netns.PortsOf(odd...)}
	unfenced := func(want bool) {
		t.Helper()
		if got, err := egress.Unfenced(f.h, f.members); err != nil || got != want {
			t.Errorf("unfenced: %v, %v; want %v", got, err, want)
		}
	}
	unfenced(true)
	for name, set := range sets {
		f.fence(t, set)
		unfenced(false)
		before, err := egress.FencePrint(f.h, f.members)
		if err != nil {
			t.Fatal(err)
		}
		f.fence(t, set)
		if after, err := egress.FencePrint(f.h, f.members); err != nil || after != before {
			t.Errorf("%s: the second call has changed %s to %s, %v", name, before, after, err)
		}
		for other, x := range sets {
			if got, err := egress.Fenced(f.h, f.members, x); err != nil || got != (other == name) {
				t.Errorf("fenced with ports %q: has those of %q: %v, %v", name, other, got, err)
			}
		}
		var want error
		if name != "none" && name != "another" {
			want = unix.EPERM
		}
		if err := binds(t, f.member, unix.AF_INET, unix.SOCK_STREAM, 0, 443); !errors.Is(err, want) {
			t.Errorf("%s: a member binds port 443: %v, want %v", name, err, want)
		}
	}
	if err := egress.Unfence(f.h, f.members); err != nil {
		t.Fatal(err)
	}
	unfenced(true)
	if got, err := egress.Fenced(f.h, f.members, nil); err != nil || got {
		t.Errorf("fenced after it was removed: %v, %v", got, err)
	}
	for _, look := range []func() error{
		func() error { _, err := egress.Fenced(f.h, f.members+"/absent", nil); return err },
		func() error { _, err := egress.Unfenced(f.h, f.members+"/absent"); return err },
		func() error { _, err := egress.FencePrint(f.h, f.members+"/absent"); return err },
	} {
		if err := look(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a fence of no cgroup: %v", err)
		}
	}
}

// A port that is closed before and after a change is closed at every moment.
func TestRootFenceKeepsAPortThroughAChange(t *testing.T) {
	f := newFencePair(t)
	f.fence(t, netns.PortsOf(443, 8000))
	ended := make(chan error, 1)
	go func() {
		for i := range uint16(200) {
			if err := egress.Fence(f.h, f.members, netns.PortsOf(443, 8000+i%3)); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for tries := 0; ; tries++ {
		if err := binds(t, f.member, unix.AF_INET, unix.SOCK_STREAM, 0, 443); !errors.Is(err, unix.EPERM) {
			t.Fatalf("a member binds port 443 during changes, at try %d: %v", tries, err)
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
