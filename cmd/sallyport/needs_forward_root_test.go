package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim"
)

// A crossroads is a host that routes between a group, behind a link named as ours are, and the world.
type crossroads struct {
	t                  *testing.T
	group, host, world *os.File
}

const (
	groupSide, worldSide = "10.209.0.1", "192.0.2.2"
	crossPort            = "7000"
)

func newCrossroads(t *testing.T) *crossroads {
	netnstest.Root(t)
	c := &crossroads{t: t, group: netnstest.NewNamespace(t), host: netnstest.NewNamespace(t), world: netnstest.NewNamespace(t)}
	c.link("sp-cross", "10.209.0.0/31", c.group, groupSide+"/31")
	c.link("up0", "192.0.2.1/24", c.world, worldSide+"/24")
	netnstest.Sysctl(t, c.host, "ipv4/ip_forward", "1")
	netnstest.Route(t, c.group, netip.MustParseAddr(worldSide), netip.MustParseAddr("10.209.0.0"))
	netnstest.Route(t, c.world, netip.MustParseAddr(groupSide), netip.MustParseAddr("192.0.2.1"))
	c.answer(c.group, groupSide)
	c.answer(c.world, worldSide)
	return c
}

// link joins the host to another namespace.
func (c *crossroads) link(name, addr string, to *os.File, far string) {
	c.t.Helper()
	netnstest.In(c.t, c.host, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		attrs.Index = 1000 + len(name) // a link whose index is its peer's as well learns of its carrier up to a second late
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: netns.PeerName, PeerNamespace: netlink.NsFd(to.Fd())}); err != nil {
			return err
		}
		return raise(name, addr)
	})
	netnstest.In(c.t, to, func() error { return raise(netns.PeerName, far) })
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

func (c *crossroads) answer(ns *os.File, addr string) {
	c.t.Helper()
	var l net.Listener
	netnstest.In(c.t, ns, func() (err error) {
		l, err = net.Listen("tcp4", net.JoinHostPort(addr, crossPort))
		return err
	})
	c.t.Cleanup(func() { l.Close() })
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

// passes says whether a connection gets through.
func (c *crossroads) passes(from *os.File, to string) (ok bool) {
	c.t.Helper()
	netnstest.In(c.t, from, func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(to, crossPort), 300*time.Millisecond)
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

func (c *crossroads) run(name string, args ...string) {
	c.t.Helper()
	netnstest.In(c.t, c.host, func() error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
		}
		return nil
	})
}

func (c *crossroads) check() (found string, err error) {
	c.t.Helper()
	netnstest.In(c.t, c.host, func() error {
		found, err = checkForwardPolicy("sallyport")
		return nil
	})
	return found, err
}

// Each firewall drops what a group sends and is sent, doctor says so and what to type, and when it is typed the traffic passes
// and doctor is content. Half of it is not enough.
func TestRootForwardPolicy(t *testing.T) {
	for _, tt := range []struct {
		rules  string
		chain  string
		remedy string
		// typed is what the remedy does, where its program is not on every machine: a line of nft for each half.
		typed [2]string
		in    bool // what is sent to the group is dropped too
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
			c := newCrossroads(t)
			if found, err := c.check(); err != nil || !strings.HasPrefix(found, "nobody drops what is forwarded") {
				t.Fatalf("without a firewall: %q, %v", found, err)
			}
			netnstest.Eventually(t, "both sides reach each other without a firewall", func() bool {
				return c.passes(c.group, worldSide) && c.passes(c.world, groupSide)
			})
			c.run("nft", "-f", filepath.Join("testdata", "forward", tt.rules))
			if c.passes(c.group, worldSide) || c.passes(c.world, groupSide) {
				t.Fatal("this firewall drops nothing")
			}
			_, err := c.check()
			problem, ok := errors.AsType[*shim.Problem](err)
			if !ok || !strings.Contains(problem.Error(), tt.chain) {
				t.Fatalf("doctor says %v", err)
			}
			_, command, _ := strings.Cut(problem.Hint, ": ")
			if tt.remedy != "" && command != tt.remedy {
				t.Fatalf("to be typed: %s\nwant:        %s", command, tt.remedy)
			}
			byItself := canType(command)
			if byItself {
				c.run("sh", "-c", command)
			}
			for i, line := range tt.typed {
				if line == "" || byItself {
					continue
				}
				if i == 1 {
					if _, err := c.check(); err == nil {
						t.Error("doctor is content with half of it")
					}
				}
				c.run("nft", line)
			}
			if !c.passes(c.group, worldSide) {
				t.Error("what the group sends is still dropped")
			}
			if tt.in && !c.passes(c.world, groupSide) {
				t.Error("what the group is sent is still dropped")
			}
			if found, err := c.check(); err != nil || !strings.HasPrefix(found, "another firewall lets the groups' links pass") {
				t.Errorf("doctor says %q, %v", found, err)
			}
		})
	}
}

// canType says that the programs of a command are there, and change nothing outside the namespace they run in.
func canType(command string) bool {
	program := "nft"
	if strings.Contains(command, "iptables ") {
		program = "iptables"
	}
	_, err := exec.LookPath(program)
	return err == nil && strings.Contains(command, program+" ")
}

// Two firewalls are two remedies, our own table and those of other hooks are none.
func TestRootForwardPolicyOfSeveral(t *testing.T) {
	c := newCrossroads(t)
	c.run("nft", "add table inet sallyport; add chain inet sallyport forward { type filter hook forward priority 0; policy drop; }")
	c.run("nft", "add table inet other; add chain inet other input { type filter hook input priority 0; policy drop; }")
	if found, err := c.check(); err != nil {
		t.Errorf("doctor says %q, %v", found, err)
	}
	for _, rules := range []string{"docker.nft", "firewalld.nft"} {
		c.run("nft", "-f", filepath.Join("testdata", "forward", rules))
	}
	c.run("nft", "add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }")
	_, err := c.check()
	for _, want := range []string{"table ip filter", "table inet firewalld", "table ip6 filter"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't tell of %s", err, want)
		}
	}
	for _, want := range []string{"iptables -I DOCKER-USER", "firewall-cmd", "ip6tables -I FORWARD"} {
		if !strings.Contains(hintOf(err), want) {
			t.Errorf("%q doesn't tell of %s", hintOf(err), want)
		}
	}
}
