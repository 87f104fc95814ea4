package network

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// separating returns a network that keeps abstract sockets apart. On a kernel that can't, the test
// is skipped.
func separating(t *testing.T) *Network {
	t.Helper()
	netnstest.Root(t)
	n, err := New(Config{Layout: testLayout(t), Separate: true})
	if err != nil {
		t.Fatal(err)
	}
	v, err := n.SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.Joined != nil {
		t.Skip(v.Joined)
	}
	return n
}

// sendAbstract sends a word to an abstract socket of another process.
func sendAbstract(t *testing.T, from, to *netnstest.Helper) error {
	t.Helper()
	receiver := must(to.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0))(t)
	defer receiver.Close()
	sender := must(from.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0))(t)
	defer sender.Close()
	if err := receiver.BindUnix("@word"); err != nil {
		t.Fatal(err)
	}
	return sender.SendToUnix("@word", "word")
}

// Abstract sockets are kept apart in a group of an older daemon too, and again when someone else
// has joined one side. Nothing of that is left when the group is removed, or goes directly.
func TestRootAbstractSocketsApart(t *testing.T) {
	n := separating(t)
	older := newNetwork(t, n.layout)
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, older, g)
	ns := must(n.open(g.Name))(t)
	defer ns.Close()
	start := func(role spec.Role, name string) *netnstest.Helper {
		path := n.layout.CgroupPath(g.Name, role, name)
		must(n.cgroups.Make(path))(t)
		return netnstest.NewHelper(t, ns, path)
	}
	ambassador, web, api := start(spec.Ambassador, "proxy"), start(spec.App, "web"), start(spec.App, "api")
	defer func() { // before the group is removed
		for _, p := range []*netnstest.Helper{ambassador, web, api} {
			p.Kill()
		}
	}()
	expect := func(when string, across error) {
		t.Helper()
		for _, x := range []struct {
			name     string
			from, to *netnstest.Helper
			want     error
		}{{"member to ambassador", web, ambassador, across}, {"ambassador to member", ambassador, api, across}, {"member to member", web, api, nil}} {
			if err := sendAbstract(t, x.from, x.to); !errors.Is(err, x.want) {
				t.Errorf("%s, %s: %v, want %v", when, x.name, err, x.want)
			}
		}
	}
	rules := func(when string, g *spec.Group, want host.Presence) {
		t.Helper()
		if got := n.Observe(t.Context(), g.Name, g).Rules; got != want {
			t.Errorf("%s: rules are %v, want %v", when, got, want)
		}
	}
	expect("before", nil)
	rules("before", g, host.Absent)
	bringUp(t, n, g)
	expect("separated", unix.EPERM)
	rules("separated", g, host.Present)

	for _, role := range []spec.Role{spec.Ambassador, spec.App} {
		d := n.NewDrift()
		for range settleAfter {
			d.Changed([]string{g.Name})
		}
		if got := d.Changed([]string{g.Name}); got != nil {
			t.Fatalf("changed although settled: %v", got)
		}
		if err := egress.Join(n.cgroups, n.layout.CgroupParent(g.Name, role)); err != nil {
			t.Fatal(err)
		}
		if d.Changed([]string{g.Name}) == nil {
			t.Errorf("not noticed for the %s", role)
		}
		rules("joined", g, host.Absent)
		bringUp(t, n, g)
		expect("repaired", unix.EPERM)
	}

	direct := &spec.Group{Name: g.Name, Egress: spec.EgressDirect, Containers: g.Containers}
	rules("before it goes directly", direct, host.Absent)
	bringUp(t, n, direct)
	expect("direct", nil)
	rules("direct", direct, host.Present)
	if err := n.eachSide(g.Name, func(h cgroup.Hierarchies, path string) error {
		if ok, err := egress.Joined(h, path); err != nil || !ok {
			t.Errorf("%s is joined: %v, %v", path, ok, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
