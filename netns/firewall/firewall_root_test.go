package firewall_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/firewall"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A harness is a host that routes between a group and the world. The group's link is named as ours
// are.
type harness struct {
	t                  *testing.T
	group, host, world *os.File
}

const (
	groupSide, worldSide = "10.209.0.1", "192.0.2.2"
	answerPort           = "7000"
)

func newHarness(t *testing.T) *harness {
	netnstest.Root(t)
	h := &harness{t: t, group: netnstest.NewNamespace(t), host: netnstest.NewNamespace(t), world: netnstest.NewNamespace(t)}
	h.link(netns.LinkPrefix+"cross", "10.209.0.0/31", h.group, groupSide+"/31")
	h.link("up0", "192.0.2.1/24", h.world, worldSide+"/24")
	netnstest.Sysctl(t, h.host, "ipv4/ip_forward", "1")
	netnstest.Route(t, h.group, netip.MustParseAddr(worldSide), netip.MustParseAddr("10.209.0.0"))
	netnstest.Route(t, h.world, netip.MustParseAddr(groupSide), netip.MustParseAddr("192.0.2.1"))
	h.answer(h.group, groupSide)
	h.answer(h.world, worldSide)
	return h
}

// link connects the host to another namespace.
func (h *harness) link(name, addr string, to *os.File, far string) {
	h.t.Helper()
	netnstest.In(h.t, h.host, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		// A link with the same index as its peer learns of its carrier up to a second late.
		attrs.Index = 1000 + len(name)
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: netns.PeerName, PeerNamespace: netlink.NsFd(to.Fd())}); err != nil {
			return err
		}
		return raise(name, addr)
	})
	netnstest.In(h.t, to, func() error { return raise(netns.PeerName, far) })
}

func raise(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		return err
	}
	return errors.Join(netlink.AddrAdd(l, a), netlink.LinkSetUp(l))
}

func (h *harness) answer(ns *os.File, addr string) {
	h.t.Helper()
	var l net.Listener
	netnstest.In(h.t, ns, func() (err error) {
		l, err = net.Listen("tcp4", net.JoinHostPort(addr, answerPort))
		return err
	})
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
}

// passes reports whether a connection gets through.
func (h *harness) passes(from *os.File, to string) (ok bool) {
	h.t.Helper()
	netnstest.In(h.t, from, func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(to, answerPort), 300*time.Millisecond)
		if err != nil {
			return nil
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Second))
		answer, _ := io.ReadAll(conn)
		ok = string(answer) == "hello"
		return nil
	})
	return ok
}

func (h *harness) run(name string, args ...string) {
	h.t.Helper()
	netnstest.In(h.t, h.host, func() error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
		}
		return nil
	})
}

func (h *harness) check() (v firewall.Verdict) {
	h.t.Helper()
	netnstest.In(h.t, h.host, func() (err error) {
		v, err = firewall.Check("sallyport")
		return err
	})
	return v
}

// Each firewall drops packets from and to the group, and Check names its chain and the remedy.
// After the remedy the traffic passes and Check is content. Half of the remedy is not enough.
func TestRootCheck(t *testing.T) {
	for _, tt := range []struct {
		rules  string
		chain  string
		remedy string
		// typed has the same effect as the remedy, whose program is not on every machine: a line of
		// nft for each half.
		typed [2]string
		in    bool // packets to the group are dropped too
	}{
		{"docker.nft", "chain FORWARD of table ip filter", "for d in i o; do iptables -I DOCKER-USER -$d sp-+ -j ACCEPT; done",
			[2]string{`insert rule ip filter DOCKER-USER iifname "sp-*" counter accept`, `insert rule ip filter DOCKER-USER oifname "sp-*" counter accept`}, true},
		{"ufw.nft", "chain FORWARD of table ip filter", "ufw route allow in on sp-+ && ufw route allow out on sp-+",
			[2]string{`add rule ip filter ufw-user-forward iifname "sp-*" counter accept`, `add rule ip filter ufw-user-forward oifname "sp-*" counter accept`}, true},
		{"firewalld.nft", "chain filter_FORWARD of table inet firewalld", "firewall-cmd --permanent --zone=trusted --add-interface=sp-+ && firewall-cmd --reload",
			[2]string{``, `insert rule inet firewalld filter_FORWARD_POLICIES iifname "sp-*" jump filter_FWD_trusted`}, false},
		{"iptables.nft", "chain FORWARD of table ip filter", "for d in i o; do iptables -I FORWARD -$d sp-+ -j ACCEPT; done",
			[2]string{`insert rule ip filter FORWARD iifname "sp-*" counter accept`, `insert rule ip filter FORWARD oifname "sp-*" counter accept`}, true},
		{"plain.nft", "chain forward of table inet filter", "", [2]string{}, true},
	} {
		t.Run(tt.rules, func(t *testing.T) {
			h := newHarness(t)
			if v := h.check(); len(v.Blocking) > 0 || v.Passing {
				t.Fatalf("without a firewall: %+v", v)
			}
			netnstest.Eventually(t, "both sides reach each other without a firewall", func() bool {
				return h.passes(h.group, worldSide) && h.passes(h.world, groupSide)
			})
			h.run("nft", "-f", filepath.Join("testdata", tt.rules))
			if h.passes(h.group, worldSide) || h.passes(h.world, groupSide) {
				t.Fatal("this firewall drops nothing")
			}
			v := h.check()
			if !slices.Equal(v.Blocking, []string{tt.chain}) || len(v.Remedies) != 1 || v.Passing {
				t.Fatalf("with the firewall: %+v; want %s as blocking, and one remedy", v, tt.chain)
			}
			_, command, _ := strings.Cut(v.Remedies[0], ": ")
			if tt.remedy != "" && command != tt.remedy {
				t.Fatalf("remedy: %s\nwant:   %s", command, tt.remedy)
			}
			byItself := canRun(command)
			if byItself {
				h.run("sh", "-c", command)
			}
			for i, line := range tt.typed {
				if line == "" || byItself {
					continue
				}
				if i == 1 {
					if v := h.check(); len(v.Blocking) == 0 {
						t.Errorf("half of the remedy is taken for all of it: %+v", v)
					}
				}
				h.run("nft", line)
			}
			netnstest.Eventually(t, "packets from the group are not dropped any more", func() bool { return h.passes(h.group, worldSide) })
			if tt.in {
				netnstest.Eventually(t, "packets to the group are not dropped any more", func() bool { return h.passes(h.world, groupSide) })
			}
			if v := h.check(); len(v.Blocking) > 0 || !v.Passing {
				t.Errorf("after the remedy: %+v", v)
			}
		})
	}
}

// canRun reports whether the program of a command is installed, and changes nothing outside the
// namespace that it runs in.
func canRun(command string) bool {
	program := "nft"
	if strings.Contains(command, "iptables ") {
		program = "iptables"
	}
	_, err := exec.LookPath(program)
	return err == nil && strings.Contains(command, program+" ")
}

// Several firewalls have several remedies. Our own table and chains of other hooks count for
// nothing.
func TestRootCheckSeveral(t *testing.T) {
	h := newHarness(t)
	h.run("nft", "add table inet sallyport; add chain inet sallyport forward { type filter hook forward priority 0; policy drop; }")
	h.run("nft", "add table inet other; add chain inet other input { type filter hook input priority 0; policy drop; }")
	if v := h.check(); len(v.Blocking) > 0 {
		t.Errorf("with our own table and another hook: %+v", v)
	}
	for _, rules := range []string{"docker.nft", "firewalld.nft"} {
		h.run("nft", "-f", filepath.Join("testdata", rules))
	}
	h.run("nft", "add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }")
	v := h.check()
	for _, want := range []string{"table ip filter", "table inet firewalld", "table ip6 filter"} {
		if !strings.Contains(strings.Join(v.Blocking, ", "), want) {
			t.Errorf("blocking: %q lacks %s", v.Blocking, want)
		}
	}
	for _, want := range []string{"iptables -I DOCKER-USER", "firewall-cmd", "ip6tables -I FORWARD"} {
		if !strings.Contains(strings.Join(v.Remedies, "; "), want) {
			t.Errorf("remedies: %q lack %s", v.Remedies, want)
		}
	}
}
