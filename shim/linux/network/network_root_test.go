package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

func newNetwork(t testing.TB, layout layout.Layout) *Network {
	t.Helper()
	netnstest.Root(t)
	n, err := New(Config{Layout: layout, Signals: true})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func removeGroup(t testing.TB, n *Network, group string) {
	t.Helper()
	if err := n.Remove(t.Context(), group); err != nil {
		t.Errorf("remove %q: %v", group, err)
	}
}

func presences(s host.NetState) [3]host.Presence {
	return [3]host.Presence{s.Namespace, s.Rules, s.Link}
}

// Observe returns each of the states that a group goes through.
func TestRootStates(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	observe := func(want [3]host.Presence) {
		t.Helper()
		got := n.Observe(t.Context(), g.Name, g)
		if diff := cmp.Diff(want, presences(got)); diff != "" {
			t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
		}
	}
	groups := func(want ...string) {
		t.Helper()
		got, err := n.Groups(t.Context())
		if diff := cmp.Diff(want, append([]string(nil), got...)); err != nil || diff != "" {
			t.Errorf("groups: %v (-want +got):\n%s", err, diff)
		}
	}
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	observe([3]host.Presence{host.Absent, host.Absent, host.Absent})
	groups()
	for range 2 { // the second call changes nothing
		step(n.Seal(t.Context(), g.Name))
	}
	observe([3]host.Presence{host.Present, host.Absent, host.Absent})
	groups("checkout")
	for range 2 {
		step(n.Admit(t.Context(), g))
	}
	observe([3]host.Presence{host.Present, host.Present, host.Absent})
	for range 2 {
		step(n.Connect(t.Context(), g))
	}
	observe([3]host.Presence{host.Present, host.Present, host.Present})

	// Another process observes the same, with the same addresses.
	before := n.Observe(t.Context(), g.Name, g)
	again := newNetwork(t, n.layout)
	if diff := cmp.Diff(before, again.Observe(t.Context(), g.Name, g)); diff != "" {
		t.Errorf("a new process observes (-before +now):\n%s", diff)
	}
	step(again.Connect(t.Context(), g))
	if diff := cmp.Diff(before, again.Observe(t.Context(), g.Name, g)); diff != "" {
		t.Errorf("after a new process connected (-before +now):\n%s", diff)
	}

	for range 2 {
		step(n.Remove(t.Context(), g.Name))
	}
	observe([3]host.Presence{host.Absent, host.Absent, host.Absent})
	groups()
	conn, err := ruleset.Open(0)
	step(err)
	defer conn.Close()
	if there, err := ruleset.Exists(conn, n.layout.Table); there || err != nil {
		t.Errorf("the host's table exists after its last group: %v, %v", there, err)
	}
}

func TestRootDamageIsNoticedAndRepaired(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", func(g *spec.Group) {
		g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}}
		g.Ambassador().Allow = []spec.Allow{{Prefix: "203.0.113.0/24", Port: 443, Protocol: "tcp"}}
		g.Ambassador().Rate = spec.Rate{Out: 2e6, In: 10e6}
	})
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	ns, link := n.layout.NetnsPath(g.Name), n.linkName(g.Name)
	inside := func(command ...string) []string { return append([]string{"nsenter", "--net=" + ns}, command...) }
	web := filepath.Join(n.cgroups.V2, n.layout.ContainerCgroup(g.Name, spec.App, "web"))
	tests := []struct {
		name    string
		command []string
		want    [3]host.Presence
	}{
		{"table of the namespace deleted", inside("nft", "delete", "table", "inet", egress.TableName), [3]host.Presence{host.Absent, host.Absent, host.Present}},
		{"rules of the namespace flushed", inside("nft", "flush", "ruleset"), [3]host.Presence{host.Absent, host.Absent, host.Present}},
		{"table of the namespace dormant", inside("nft", "add table inet sallyport { flags dormant; }"), [3]host.Presence{host.Absent, host.Absent, host.Present}},
		{"one chain flushed", inside("nft", "flush", "chain", "inet", egress.TableName, "output"), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"policy of a chain opened", inside("nft", "chain inet sallyport output { policy accept; }"), [3]host.Presence{host.Absent, host.Absent, host.Present}},
		{"a rule added in front", inside("nft", "insert rule inet sallyport output accept"), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"published ports emptied", inside("nft", "flush", "set", "inet", egress.TableName, "published"), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"allow list widened", inside("nft", "add element inet sallyport allow_host4 { 0.0.0.0/0 . tcp }"), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"the ambassador's ports not reserved", inside("sysctl", "-w", "net.ipv4.ip_local_reserved_ports="), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"a port more reserved", inside("sysctl", "-w", "net.ipv4.ip_local_reserved_ports=443,444"), [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"the host's table deleted", []string{"nft", "delete", "table", "inet", n.layout.Table}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"the host's table dormant", []string{"nft", "add table inet sallyport { flags dormant; }"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"the host's rules flushed", []string{"nft", "flush", "ruleset"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"a published port lost", []string{"nft", "delete element inet sallyport publish4 { tcp . 8443 }"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"the host's allow list widened", []string{"nft", "add element inet sallyport allow_host4 { " + link + " . 0.0.0.0/0 . tcp }"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"link down", []string{"ip", "link", "set", link, "down"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"link deleted", []string{"ip", "link", "del", link}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"peer deleted", inside("ip", "link", "del", "eth0"), [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"alias lost", []string{"ip", "link", "set", link, "alias", ""}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"default route lost", inside("ip", "route", "del", "default"), [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"neighbours lost", []string{"ip", "neigh", "flush", "nud", "permanent", "dev", link}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"rate in lifted", []string{"tc", "qdisc", "del", "dev", link, "root"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"rate in raised", []string{"tc", "qdisc", "change", "dev", link, "root", "handle", "5a11:", "tbf", "rate", "1gbit", "burst", "1m", "latency", "50ms"}, [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"rate out lifted", inside("tc", "qdisc", "del", "dev", "eth0", "root"), [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"rate out replaced", inside("tc", "qdisc", "replace", "dev", "eth0", "root", "handle", "1:", "tbf", "rate", "2mbit", "burst", "8k", "latency", "75ms"), [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"address lost", inside("ip", "addr", "flush", "dev", "eth0"), [3]host.Presence{host.Present, host.Present, host.Absent}},
		{"namespace unpinned", []string{"umount", ns}, [3]host.Presence{host.Absent, host.Absent, host.Absent}},
		{"cgroups made anew", []string{"rmdir", web, filepath.Dir(web)}, [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"a container's cgroup removed", []string{"rmdir", web}, [3]host.Presence{host.Present, host.Absent, host.Present}},
		{"a cgroup of no container", []string{"mkdir", "-p", filepath.Join(filepath.Dir(web), "old/leaf")}, [3]host.Presence{host.Present, host.Absent, host.Present}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if out, err := exec.Command(tt.command[0], tt.command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", tt.command, err, out)
			}
			if diff := cmp.Diff(tt.want, presences(n.Observe(t.Context(), g.Name, g))); diff != "" {
				t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
			}
			bringUp(t, n, g)
			all := [3]host.Presence{host.Present, host.Present, host.Present}
			if diff := cmp.Diff(all, presences(n.Observe(t.Context(), g.Name, g))); diff != "" {
				t.Errorf("after repair (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRootUnfinishedGroupIsRemoved(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	pin := n.layout.NetnsPath("half")
	tests := []struct {
		name string
		make func() error
	}{
		{"nothing", func() error { return nil }},
		{"a file that is no pin", func() error {
			if err := os.MkdirAll(filepath.Dir(pin), 0o755); err != nil {
				return err
			}
			return os.WriteFile(pin, nil, 0o444)
		}},
		{"a namespace without rules", func() error {
			if err := n.Seal(t.Context(), "half"); err != nil {
				return err
			}
			return exec.Command("nsenter", "--net="+pin, "nft", "flush", "ruleset").Run()
		}},
		{"a link without alias or peer", func() error {
			return exec.Command("ip", "link", "add", n.linkName("half"), "type", "veth", "peer", "name", "other").Run()
		}},
		{"cgroups alone", func() error { _, err := n.cgroups.Make(n.layout.CgroupParent("half", spec.App)); return err }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.make(); err != nil {
				t.Fatal(err)
			}
			removeGroup(t, n, "half")
			if groups, err := n.Groups(t.Context()); err != nil || len(groups) > 0 {
				t.Errorf("groups after removing: %v, %v", groups, err)
			}
		})
		t.Run(tt.name+", completed", func(t *testing.T) {
			if err := tt.make(); err != nil {
				t.Fatal(err)
			}
			g := testGroup("half", nil)
			bringUp(t, n, g)
			if diff := cmp.Diff([3]host.Presence{host.Present, host.Present, host.Present}, presences(n.Observe(t.Context(), g.Name, g))); diff != "" {
				t.Errorf("namespace, rules, link (-want +got):\n%s", diff)
			}
			removeGroup(t, n, "half")
		})
	}
}

func TestRootTwoInstancesDoNotSeeEachOther(t *testing.T) {
	a := newNetwork(t, testLayout(t))
	layout := testLayout(t)
	layout.Table, layout.CgroupRoot, layout.Prefix4, layout.Prefix6 = "sallyport2", layout.CgroupRoot+"/second", "10.210.0.0/16", "fd5a:11e0:9028::/64"
	b := newNetwork(t, layout)
	g := testGroup("checkout", nil)
	bringUp(t, a, g)
	bringUp(t, b, g)
	removeGroup(t, b, g.Name)
	if diff := cmp.Diff([3]host.Presence{host.Present, host.Present, host.Present}, presences(a.Observe(t.Context(), g.Name, g))); diff != "" {
		t.Errorf("the other instance removed its group of the same name (-want +got):\n%s", diff)
	}
	if groups, err := b.Groups(t.Context()); err != nil || len(groups) > 0 {
		t.Errorf("the other instance's groups: %v, %v", groups, err)
	}
	removeGroup(t, a, g.Name)
}

// BenchmarkRootUp measures what the network costs at the start of a group: namespace, rules, link.
// The groups stay until the end, because the kernel is busy for a while after a namespace is
// removed.
func BenchmarkRootUp(b *testing.B) {
	layout := layout.Layout{RunDir: b.TempDir(), CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64"}
	n := newNetwork(b, layout)
	var groups []*spec.Group
	var took [3][]time.Duration // the median is reported: other work of the kernel makes outliers
	for b.Loop() {
		g := testGroup(fmt.Sprint("g", len(groups)), nil)
		groups = append(groups, g)
		start := time.Now()
		for i, step := range []func() error{
			func() error { return n.Seal(b.Context(), g.Name) },
			func() error { return n.Admit(b.Context(), g) },
			func() error { return n.Connect(b.Context(), g) },
		} {
			if err := step(); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
			start = time.Now()
		}
	}
	for i, name := range []string{"seal", "admit", "connect"} {
		slices.Sort(took[i])
		b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), name+"-us")
	}
	for _, g := range groups {
		removeGroup(b, n, g.Name)
	}
}

func BenchmarkRootObserve(b *testing.B) {
	layout := layout.Layout{RunDir: b.TempDir(), CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64"}
	n := newNetwork(b, layout)
	g := testGroup("g", nil)
	if err := seal(b, n, g); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n.Observe(b.Context(), g.Name, g)
	}
	removeGroup(b, n, g.Name)
}

func seal(b testing.TB, n *Network, g *spec.Group) error {
	if err := n.Seal(b.Context(), g.Name); err != nil {
		return err
	}
	if err := n.Admit(b.Context(), g); err != nil {
		return err
	}
	return n.Connect(b.Context(), g)
}
