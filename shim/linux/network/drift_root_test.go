package network

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A Drift detects changes by others, once it has seen the groups settled. Our change of one group's
// rules is no change of another group.
func TestRootDrift(t *testing.T) {
	n := newNetwork(t, testLayout(t))
	g, other := testGroup("checkout", nil), testGroup("till", nil)
	for _, g := range []*spec.Group{g, other} {
		defer removeGroup(t, n, g.Name)
		bringUp(t, n, g)
	}
	names := []string{g.Name, other.Name}
	d := n.NewDrift()
	settle := func() {
		t.Helper()
		for range settleAfter {
			for _, g := range []*spec.Group{g, other} {
				bringUp(t, n, g)
				n.Observe(t.Context(), g.Name, g)
			}
			d.Changed(names)
		}
		if got := d.Changed(names); got != nil {
			t.Fatalf("changed although settled: %v", got)
		}
	}
	for _, tt := range changesByOthers(n, g.Name, names) {
		t.Run(tt.name, func(t *testing.T) {
			settle()
			if out, err := exec.Command(tt.command[0], tt.command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", tt.command, err, out)
			}
			if diff := cmp.Diff(tt.want, d.Changed(names)); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}

	settle()
	g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}}
	bringUp(t, n, g)
	if got := d.Changed(names); slices.Contains(got, other.Name) {
		t.Errorf("our change of %s is taken for a change of %s", g.Name, other.Name)
	}
	dropped := d.Changed([]string{other.Name})
	if len(dropped) > 0 || len(d.groups) != 1 {
		t.Errorf("after a group is gone: changed %v, %d remembered", dropped, len(d.groups))
	}
}

// A changeByOthers is a command that changes something, and the groups that are concerned.
type changeByOthers struct {
	name    string
	command []string
	want    []string
}

// changesByOthers are changes of one group, of the host, or of nothing. all are all groups.
func changesByOthers(n *Network, group string, all []string) []changeByOthers {
	ns, link, one := n.layout.NetnsPath(group), n.linkName(group), []string{group}
	inside := func(command ...string) []string { return append([]string{"nsenter", "--net=" + ns}, command...) }
	return []changeByOthers{
		{"rules of the namespace", inside("nft", "flush", "ruleset"), one},
		{"the table is dormant", inside("nft", "add table inet sallyport { flags dormant; }"), one},
		{"one rule", inside("nft", "insert rule inet "+egress.TableName+" output accept"), one},
		{"the host's rules", []string{"nft", "flush", "ruleset"}, all},
		{"the host's table is dormant", []string{"nft", "add table inet sallyport { flags dormant; }"}, all},
		{"a link of the host", []string{"nft", "delete element inet sallyport links { " + link + " }"}, all},
		{"reserved ports", inside("sysctl", "-w", "net.ipv4.ip_local_reserved_ports=444"), one},
		{"a container's cgroup", []string{"rmdir", filepath.Join(n.cgroups.V2, n.layout.ContainerCgroup(group, spec.App, "web"))}, one},
		{"rules of another table", []string{"nft", "add table inet theirs; delete table inet theirs"}, nil},
		{"link down", []string{"ip", "link", "set", link, "down"}, one},
		{"peer down", inside("ip", "link", "set", "eth0", "down"), one},
		{"link deleted", []string{"ip", "link", "del", link}, one},
		{"alias lost", []string{"ip", "link", "set", link, "alias", ""}, one},
		{"the host's address", []string{"ip", "addr", "flush", "dev", link}, one},
		{"the group's address", inside("ip", "addr", "flush", "dev", "eth0"), one},
		{"default route", inside("ip", "-6", "route", "del", "default"), one},
		{"forwarding", []string{"sysctl", "-w", "net.ipv4.ip_forward=0"}, all},
		{"namespace unpinned", []string{"umount", ns}, one},
	}
}

// BenchmarkRootIdle measures the checks that are made each second for 20 settled groups.
func BenchmarkRootIdle(b *testing.B) {
	n := newNetwork(b, layout.Layout{RunDir: b.TempDir(), CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64"})
	var names []string
	for i := range 20 {
		g := testGroup(fmt.Sprint("g", i), nil)
		names = append(names, g.Name)
		if err := seal(b, n, g); err != nil {
			b.Fatal(err)
		}
		defer removeGroup(b, n, g.Name)
	}
	d := n.NewDrift()
	for range settleAfter {
		d.Changed(names)
	}
	b.Run("drift", func(b *testing.B) {
		for b.Loop() {
			d.Changed(names)
		}
	})
	b.Run("denials", func(b *testing.B) {
		for b.Loop() {
			for _, c := range n.Counts(names) {
				if c.Err != nil {
					b.Fatal(c.Err)
				}
			}
		}
	})
}
