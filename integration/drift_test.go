package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/shim"
)

// guarded is a group whose ambassador has a published port, and an app and an ambassador that try what they are asked to.
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

// putBackWithin is how long others' changes may last: a second until they are noticed, and as much again on a busy machine.
const putBackWithin = 4 * time.Second

// TestDrift has somebody else change what keeps a group, in every way an operator or a firewall does. Each time it is put back
// by itself and said, the ambassador is served again, no container is restarted, and nothing of a member is seen outside.
func TestDrift(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(guarded, attackImage))
	ns, seen, before := m.netns("g"), newCapture(t, m.host), m.pids("g")
	link := groupLink(t, m.host)
	for _, d := range []struct {
		name   string
		change func()
		says   string
	}{
		{"the host's rules flushed", func() { dropTables(t, m.host) }, "the host's rules for it"},
		{"one element deleted", func() { m.dropElement(m.hostTable(), "publish4") }, "the host's rules for it"},
		{"one rule deleted", func() { m.dropRule(m.hostTable(), "from_groups") }, "the host's rules for it"},
		{"the namespace's rules flushed", func() { dropTables(t, ns) }, "its namespace, or all rules in it"},
		{"the fence taken down", func() { dropFence(t, m.cgroup2("g/members")) }, "the fence around its members"},
		{"the host's end down", func() { change(t, m.host, link, netlink.LinkSetDown) }, "its link"},
		{"the group's end down", func() { change(t, ns, "eth0", netlink.LinkSetDown) }, "its link"},
		{"the link deleted", func() { change(t, m.host, link, netlink.LinkDel) }, "its link"},
		{"addresses of the host's end", func() { change(t, m.host, link, dropAddresses) }, "its link"},
		{"addresses of the group's end", func() { change(t, ns, "eth0", dropAddresses) }, "its link"},
		{"routes", func() { change(t, ns, "eth0", dropRoutes) }, "its link"},
		{"forwarding off", func() { m.sysctl("ipv4/ip_forward", "0") }, "the host's forwarding"},
		{"IPv6 forwarding off", func() { m.sysctl("ipv6/conf/all/forwarding", "0") }, "the host's forwarding"},
	} {
		t.Run(d.name, func(t *testing.T) {
			m.reaches(t, ns, "before")
			told := len(m.events("g", shim.EventDrift))
			d.change()
			o := attempt(t, ns, 7001, "tcp", victim4) // at once, when it is not put back yet
			eventually(t, putBackWithin, "it is put back, and said", func() error {
				drifts := m.events("g", shim.EventDrift)
				if len(drifts) == told {
					return fmt.Errorf("no event; the ambassador is told: %s", attempt(t, ns, 7003, "tcp", world4).told())
				}
				return says(drifts[len(drifts)-1].Text, d.says, "put back")
			})
			m.reaches(t, ns, "afterwards")
			if o2 := attempt(t, ns, 7001, "tcp", victim6); o.Reply+o2.Reply != "" {
				t.Errorf("a member was answered: %q %q", o.Reply, o2.Reply)
			}
		})
	}
	if out := seen.take(t, func(f frame) bool { return to(victim4)(f) || to(victim6)(f) }); len(out) > 0 {
		t.Errorf("a member was seen outside: %v", out)
	}
	if o := attempt(t, ns, 7003, "tcp", victim4); len(seen.take(t, to(victim4))) == 0 {
		t.Errorf("nor was the ambassador, so that proves nothing: %s", o.told())
	}
	if now := m.pids("g"); !equal(before, now) {
		t.Errorf("a container was restarted: %v, then %v", before, now)
	}
	for _, e := range m.events("g", shim.EventDrift) {
		t.Log(e.Text)
	}
}

// TestNoDrift: rules of others, and the daemon's own changes, are no drift.
func TestNoDrift(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(guarded, attackImage))
	m.apply("other.hcl", fmt.Sprintf(neighbour, attackImage))
	c := &nftables.Conn{NetNS: int(m.host)}
	theirs := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "theirs"})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	m.apply("g.hcl", strings.ReplaceAll(fmt.Sprintf(guarded, attackImage), "8444", "8445"))
	m.run("rm", "other")
	m.stop()
	m.start()
	time.Sleep(2500 * time.Millisecond) // a little more than two looks
	if drifts := m.events("", shim.EventDrift); len(drifts) > 0 {
		t.Errorf("said to be drift: %+v", drifts)
	}
	c.DelTable(theirs)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// reaches: the ambassador reaches the world over both families, and its published port leads to it.
func (m *machine) reaches(t *testing.T, ns netns.NsHandle, when string) {
	t.Helper()
	for _, to := range []string{world4, world6} {
		eventually(t, putBackWithin, "the ambassador reaches "+to+" "+when, func() error {
			if o := attempt(t, ns, 7003, "tcp", to); o.Reply == "" {
				return fmt.Errorf("%s", o.told())
			}
			return nil
		})
	}
}

func (m *machine) events(group string, kind shim.EventKind) (found []shim.Event) {
	m.t.Helper()
	args := []string{"events", "--json"}
	if group != "" {
		args = append(args, group)
	}
	for dec := json.NewDecoder(strings.NewReader(m.run(args...))); dec.More(); {
		var e shim.Event
		if err := dec.Decode(&e); err != nil {
			m.t.Fatal(err)
		}
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func (m *machine) sysctl(key, value string) {
	m.t.Helper()
	within(m.t, m.host, func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) })
}

// hostTable is the instance's on the host, which has no other.
func (m *machine) hostTable() *nftables.Table {
	m.t.Helper()
	tables, err := (&nftables.Conn{NetNS: int(m.host)}).ListTables()
	if err != nil || len(tables) != 1 {
		m.t.Fatalf("tables %v, error %v", tables, err)
	}
	return tables[0]
}

// dropElement deletes the first element of a set or map.
func (m *machine) dropElement(table *nftables.Table, set string) {
	m.t.Helper()
	c := &nftables.Conn{NetNS: int(m.host)}
	s, err := c.GetSetByName(table, set)
	if err != nil {
		m.t.Fatal(err)
	}
	elements, err := c.GetSetElements(s)
	if err != nil || len(elements) == 0 {
		m.t.Fatalf("elements %v of set %s, error %v", elements, set, err)
	}
	if err := c.SetDeleteElements(s, elements[:1]); err != nil {
		m.t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// dropRule deletes the first rule of a chain.
func (m *machine) dropRule(table *nftables.Table, chain string) {
	m.t.Helper()
	c := &nftables.Conn{NetNS: int(m.host)}
	rules, err := c.GetRules(table, &nftables.Chain{Name: chain})
	if err != nil || len(rules) == 0 {
		m.t.Fatalf("rules %v of chain %s, error %v", rules, chain, err)
	}
	if err := c.DelRule(rules[0]); err != nil {
		m.t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		m.t.Fatal(err)
	}
}

// groupLink is the name of the host's end of the only link there is.
func groupLink(t *testing.T, host netns.NsHandle) (name string) {
	t.Helper()
	within(t, host, func() error {
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
	within(t, ns, func() error {
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

// attempt has the attacker on a port try something itself.
func attempt(t *testing.T, ns netns.NsHandle, port int, technique, to string) outcome {
	t.Helper()
	return ask(t, ns, port, "self", technique, to)
}
