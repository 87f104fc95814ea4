package promise

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// guarded is a group whose ambassador has a published port. Its app, sidecar and ambassador carry
// out orders.
const guarded = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7002"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
    publish "held" {
      host = 8444
      port = 7444
    }
  }
}
`

// putBackWithin is how long changes by others may last. They are noticed within a second, and a
// busy machine takes longer. It is half of the 30 s after which a group is looked at without a
// cause. That look can't put back all of a test's changes in time.
const putBackWithin = 15 * time.Second

// TestDrift changes everything that keeps a group in its bounds, as an operator or a firewall
// could. Each time it is put back without help, an event reports it, and the ambassador is served
// again. No container is restarted, and no packet of a member is seen outside.
func TestDrift(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(guarded, machine.AttackImage))
	ns, seen, before := m.Netns("g"), machine.NewCapture(t, m.Host), m.Pids("g")
	link := groupLink(t, m.Host)
	for _, d := range []struct {
		name   string
		change func()
		says   string
	}{
		{"the host's rules flushed", func() { machine.DropTables(t, m.Host) }, "the host's rules for it"},
		{"one element deleted", func() { dropElement(m, hostTable(m), "publish4") }, "the host's rules for it"},
		{"one rule deleted", func() { dropRule(m, hostTable(m), "from_groups") }, "the host's rules for it"},
		{"the namespace's rules flushed", func() { machine.DropTables(t, ns) }, "its namespace, or all rules in it"},
		{"the fence taken down", func() { machine.DropFence(t, m.CgroupV2("g/members")) }, "the fence around its members"},
		{"the host's end down", func() { change(t, m.Host, link, netlink.LinkSetDown) }, "its link"},
		{"the group's end down", func() { change(t, ns, "eth0", netlink.LinkSetDown) }, "its link"},
		{"the link deleted", func() { change(t, m.Host, link, netlink.LinkDel) }, "its link"},
		{"addresses of the host's end", func() { change(t, m.Host, link, dropAddresses) }, "its link"},
		{"addresses of the group's end", func() { change(t, ns, "eth0", dropAddresses) }, "its link"},
		{"routes", func() { change(t, ns, "eth0", dropRoutes) }, "its link"},
		{"forwarding off", func() { writeSysctl(m, "ipv4/ip_forward", "0") }, "the host's forwarding"},
		{"IPv6 forwarding off", func() { writeSysctl(m, "ipv6/conf/all/forwarding", "0") }, "the host's forwarding"},
	} {
		t.Run(d.name, func(t *testing.T) {
			expectReachable(t, m, ns, "before")
			told := len(m.Events("g", group.EventDrift))
			d.change()
			o := attempt(t, ns, 7001, "tcp", machine.Victim4) // at once, when it is not put back yet
			machine.Eventually(t, putBackWithin, "it is put back, and said", func() error {
				drifts := m.Events("g", group.EventDrift)
				if len(drifts) == told {
					return fmt.Errorf("no event; the ambassador is told: %s", attempt(t, ns, 7003, "tcp", machine.Remote4).told())
				}
				return machine.Contains(drifts[len(drifts)-1].Text, d.says, "put back")
			})
			expectReachable(t, m, ns, "afterwards")
			if o2 := attempt(t, ns, 7001, "tcp", machine.Victim6); o.Reply+o2.Reply != "" {
				t.Errorf("a member was answered: %q %q", o.Reply, o2.Reply)
			}
		})
	}
	if out := seen.Take(t, func(f machine.Frame) bool { return machine.To(machine.Victim4)(f) || machine.To(machine.Victim6)(f) }); len(out) > 0 {
		t.Errorf("a member was seen outside: %v", out)
	}
	if o := attempt(t, ns, 7003, "tcp", machine.Victim4); len(seen.Take(t, machine.To(machine.Victim4))) == 0 {
		t.Errorf("nor was the ambassador, so that proves nothing: %s", o.told())
	}
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("a container was restarted: %v, then %v", before, now)
	}
	for _, e := range m.Events("g", group.EventDrift) {
		t.Log(e.Text)
	}
}

// TestNoDrift checks that the rules of others, and the daemon's own changes, are not reported as
// drift.
func TestNoDrift(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(guarded, machine.AttackImage))
	m.Apply("other.hcl", fmt.Sprintf(neighbour, machine.AttackImage))
	c := &nftables.Conn{NetNS: int(m.Host)}
	theirs := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "theirs"})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	m.Apply("g.hcl", strings.ReplaceAll(fmt.Sprintf(guarded, machine.AttackImage), "8444", "8445"))
	m.Run("rm", "other")
	m.Stop()
	m.Start()
	time.Sleep(2500 * time.Millisecond) // a little more than two looks
	if drifts := m.Events("", group.EventDrift); len(drifts) > 0 {
		t.Errorf("said to be drift: %+v", drifts)
	}
	c.DelTable(theirs)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// expectReachable waits until the ambassador reaches the remote host over both families.
func expectReachable(t *testing.T, m *machine.Machine, ns netns.NsHandle, when string) {
	t.Helper()
	for _, to := range []string{machine.Remote4, machine.Remote6} {
		machine.Eventually(t, putBackWithin, "the ambassador reaches "+to+" "+when, func() error {
			if o := attempt(t, ns, 7003, "tcp", to); o.Reply == "" {
				return fmt.Errorf("%s", o.told())
			}
			return nil
		})
	}
}

func writeSysctl(m *machine.Machine, key, value string) {
	m.T.Helper()
	machine.MustInNetns(m.T, m.Host, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// hostTable returns the instance's table on the host, which has no other.
func hostTable(m *machine.Machine) *nftables.Table {
	m.T.Helper()
	tables, err := (&nftables.Conn{NetNS: int(m.Host)}).ListTables()
	if err != nil || len(tables) != 1 {
		m.T.Fatalf("tables %v, error %v", tables, err)
	}
	return tables[0]
}

// dropElement deletes the first element of a set or map.
func dropElement(m *machine.Machine, table *nftables.Table, set string) {
	m.T.Helper()
	c := &nftables.Conn{NetNS: int(m.Host)}
	s, err := c.GetSetByName(table, set)
	if err != nil {
		m.T.Fatal(err)
	}
	elements, err := c.GetSetElements(s)
	if err != nil || len(elements) == 0 {
		m.T.Fatalf("elements %v of set %s, error %v", elements, set, err)
	}
	if err := c.SetDeleteElements(s, elements[:1]); err != nil {
		m.T.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		m.T.Fatal(err)
	}
}

// dropRule deletes the first rule of a chain.
func dropRule(m *machine.Machine, table *nftables.Table, chain string) {
	m.T.Helper()
	c := &nftables.Conn{NetNS: int(m.Host)}
	rules, err := c.GetRules(table, &nftables.Chain{Name: chain})
	if err != nil || len(rules) == 0 {
		m.T.Fatalf("rules %v of chain %s, error %v", rules, chain, err)
	}
	if err := c.DelRule(rules[0]); err != nil {
		m.T.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		m.T.Fatal(err)
	}
}

// groupLink returns the name of the host's end of the only group's link.
func groupLink(t *testing.T, host netns.NsHandle) (name string) {
	t.Helper()
	machine.MustInNetns(t, host, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "sp-") {
				name = l.Attrs().Name
			}
		}
		return err
	})
	return name
}

// change does something to a link by its name.
func change(t *testing.T, ns netns.NsHandle, link string, do func(netlink.Link) error) {
	t.Helper()
	machine.MustInNetns(t, ns, func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		return do(l)
	})
}

func dropAddresses(l netlink.Link) error {
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	for i := range addrs {
		if err == nil {
			err = netlink.AddrDel(l, &addrs[i])
		}
	}
	return err
}

func dropRoutes(l netlink.Link) error {
	routes, err := netlink.RouteList(l, netlink.FAMILY_ALL)
	for i := range routes {
		if err == nil && routes[i].Gw != nil {
			err = netlink.RouteDel(&routes[i])
		}
	}
	return err
}

// attempt orders the attacker on a port to try something itself.
func attempt(t *testing.T, ns netns.NsHandle, port int, technique, to string) outcome {
	t.Helper()
	return ask(t, ns, port, attackOrder{how: "self", technique: technique, to: to})
}
