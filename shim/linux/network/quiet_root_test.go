package network

import (
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A quietHost has a group whose changes are heard.
type quietHost struct {
	*testing.T
	n *Network
	l *listening
	g *spec.Group
}

func newQuietHost(t *testing.T) *quietHost {
	t.Helper()
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", func(g *spec.Group) { g.Ambassador().Rate = spec.Rate{Out: 2e6, In: 10e6} })
	t.Cleanup(func() {
		if err := n.Remove(t.Context(), g.Name); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	bringUp(t, n, g)
	return &quietHost{t, n, newListening(t, n), g}
}

// settle makes everything as wanted, and leaves it so until the link is known.
func (q *quietHost) settle() {
	q.Helper()
	bringUp(q.T, q.n, q.g)
	q.l.t = q.T
	q.l.Changed([]string{q.g.Name}) // from here on it is heard
	q.hearAll()
	netnstest.Eventually(q.T, "the link of a quiet group is known after it was read", func() bool {
		q.l.settle([]string{q.g.Name})
		select {
		case <-q.l.ears.soon:
		default:
		}
		q.expect(host.Present)
		return q.known()
	})
}

// hearAll waits until what has changed so far is heard: the sockets keep the order. The kernel may
// still send a message about a new link later.
func (q *quietHost) hearAll() {
	q.Helper()
	ns, link := q.n.layout.NetnsPath(q.g.Name), q.n.linkName(q.g.Name)
	inside := must(q.n.open(q.g.Name))(q.T)
	defer inside.Close()
	group := must(netlink.NewHandleAt(vnetns.NsHandle(inside.Fd()), unix.NETLINK_ROUTE))(q.T)
	defer group.Close()
	netnstest.Eventually(q.T, "both ends have a carrier", func() bool {
		near, far := must(netlink.LinkByName(link))(q.T), must(group.LinkByName(netns.PeerName))(q.T)
		return near.Attrs().OperState == netlink.OperUp && far.Attrs().OperState == netlink.OperUp
	})
	q.l.ears.take()
	q.run("ip", "link", "set", link, "alias", LinkAliasPrefix+q.g.Name)
	q.run("nsenter", "--net="+ns, "ip", "link", "set", "lo", "alias", "last")
	netnstest.Eventually(q.T, "all is heard", func() bool {
		q.l.ears.mu.Lock()
		defer q.l.ears.mu.Unlock()
		return q.l.ears.heard.links[link] && q.l.ears.heard.groups[q.g.Name]&watch.Links != 0
	})
}

// known reports whether the next observation does not read the link.
func (q *quietHost) known() bool {
	q.Helper()
	ns := must(q.n.open(q.g.Name))(q.T)
	defer ns.Close()
	_, ok := q.n.quietLinks.recall(q.g.Name, must(pinOf(ns))(q.T))
	return ok
}

func (q *quietHost) expect(link host.Presence) {
	q.Helper()
	s := q.n.Observe(q.Context(), q.g.Name, q.g)
	if diff := cmp.Diff(link, s.Link); diff != "" {
		q.Errorf("link (-want +got):\n%s", diff)
	}
	if len(s.Addrs) != 2 && link == host.Present {
		q.Errorf("addresses: %q", s.Addrs)
	}
}

func (q *quietHost) run(command ...string) {
	q.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		q.Fatalf("%v: %v: %s", command, err, out)
	}
}

// A group is quiet since a look if nothing of it was heard after that, and of the host's mounts
// nothing if it has volumes.
func TestRootQuietSince(t *testing.T) {
	q := newQuietHost(t)
	plain, volumes := *q.g, *q.g
	volumes.Volumes = []spec.Volume{{Name: "data"}}
	marks := *testGroup(q.g.Name, func(g *spec.Group) { g.Ambassador().Intercept = 3128 })
	expect := func(what string, want *spec.Group, since time.Time, quiet bool) {
		t.Helper()
		if got := q.l.Quiet(want, since); got != quiet {
			t.Errorf("%s: quiet %t, want %t", what, got, quiet)
		}
	}
	before := time.Now()
	q.settle()
	expect("a look before it settled", &plain, before, false)
	now := time.Now()
	expect("a look after it settled", &plain, now, true)
	expect("with volumes", &volumes, now, true)
	expect("with reflected marks, which are not heard", &marks, now, false)
	expect("another group", testGroup("other", nil), now, false)

	q.l.ears.add([]watch.Event{{Kind: watch.Mounts}})
	q.l.settle([]string{q.g.Name})
	expect("mounts have changed, without volumes", &plain, now, true)
	expect("mounts have changed, with volumes", &volumes, now, false)
	expect("mounts changed before the look", &volumes, time.Now(), true)

	q.run("nsenter", "--net="+q.n.layout.NetnsPath(q.g.Name), "ip", "link", "set", "lo", "alias", "changed")
	netnstest.Eventually(t, "a change inside is heard", func() bool { return !q.l.Quiet(&plain, time.Now()) })
	q.settle()
	expect("a look before the change", &plain, now, false)
	expect("a look after it", &plain, time.Now(), true)
	q.l.ears.add([]watch.Event{{Kind: watch.Lost}})
	expect("something was lost", &plain, time.Now(), false)

	deaf := q.n.NewDrift()
	deaf.Changed([]string{q.g.Name})
	if deaf.Quiet(&plain, time.Now()) {
		t.Error("quiet, and nothing is heard at all")
	}
}

// Writes to limits make a group's turn come, and nothing of its network is read for it.
func TestRootLimitsAreHeard(t *testing.T) {
	q := newQuietHost(t)
	q.settle()
	now := time.Now()
	q.l.ears.add([]watch.Event{{Kind: watch.Written, Name: q.g.Name}, {Kind: watch.Written, Name: "gone"}})
	if found := q.l.lookAtHeard([]string{q.g.Name}); len(found) != 1 || found[0] != q.g.Name {
		t.Errorf("woken: %q", found)
	}
	if !q.known() || !q.l.Quiet(q.g, now) {
		t.Error("the network of a group counts as changed, and its limits were written to")
	}
}

// A link whose changes are heard is not read again while it is quiet. An observation then takes a
// bounded number of system calls.
func TestRootQuietLinkIsNotRead(t *testing.T) {
	q := newQuietHost(t)
	calls := netnstest.NewCallCounter(t)
	quiet, most := 0, 60
	for range 5 { // something may be heard in between
		q.settle()
		if quiet = calls.Count(func() { q.expect(host.Present) }); quiet <= most {
			break
		}
	}
	q.n.quietLinks.forget(q.g.Name)
	whole := calls.Count(func() { q.expect(host.Present) })
	t.Logf("%d calls, %d with the link", quiet, whole)
	if quiet > most {
		t.Errorf("%d calls for an observation of a quiet group, want %d at most", quiet, most)
	}
	if whole <= quiet {
		t.Errorf("%d calls with the link, and %d without", whole, quiet)
	}
}

// What is heard of a link makes the next observation read it, also before the Drift has looked.
func TestRootHeardLinkIsRead(t *testing.T) {
	q := newQuietHost(t)
	ns, link := q.n.layout.NetnsPath(q.g.Name), q.n.linkName(q.g.Name)
	inside := func(command ...string) []string { return append([]string{"nsenter", "--net=" + ns}, command...) }
	for _, tt := range []struct {
		name    string
		command []string
	}{
		{"link down", []string{"ip", "link", "set", link, "down"}},
		{"peer down", inside("ip", "link", "set", "eth0", "down")},
		{"link deleted", []string{"ip", "link", "del", link}},
		{"alias lost", []string{"ip", "link", "set", link, "alias", ""}},
		{"the host's address", []string{"ip", "addr", "flush", "dev", link}},
		{"the group's address", inside("ip", "addr", "flush", "dev", "eth0")},
		{"default route", inside("ip", "-6", "route", "del", "default")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := &quietHost{t, q.n, q.l, q.g}
			q.settle()
			q.run(tt.command...)
			<-q.l.ears.soon
			q.expect(host.Absent)
			q.l.lookAtHeard([]string{q.g.Name})
			q.expect(host.Absent)
		})
	}
}

// The rules of the host are looked at each time, and what nothing reports of a link is read once
// the link is no longer known.
func TestRootQuietLinkIsForgotten(t *testing.T) {
	q := newQuietHost(t)
	names, link := []string{q.g.Name}, q.n.linkName(q.g.Name)
	losesNeighbours := func(t *testing.T, why func()) {
		t.Helper()
		q := &quietHost{t, q.n, q.l, q.g}
		netnstest.Eventually(t, "a link is known, although nothing reports that its neighbours are gone", func() bool {
			q.settle()
			q.run("ip", "neigh", "flush", "nud", "permanent", "dev", link)
			return q.n.Observe(t.Context(), q.g.Name, q.g).Link == host.Present
		})
		why()
		q.expect(host.Absent)
	}
	for name, why := range map[string]func(){
		"after its time": func() {
			seen := q.n.quietLinks.seen[q.g.Name]
			if left := time.Until(seen.until); left > readLinkEvery || left < readLinkEvery/3 {
				t.Errorf("it would be read after %v", left)
			}
			seen.until = time.Now()
			q.n.quietLinks.seen[q.g.Name] = seen
		},
		"the Drift does not look":    func() { q.l.silent.at = q.l.silent.at.Add(-quietFor) },
		"events were lost":           func() { q.l.ears.add([]watch.Event{{Kind: watch.Lost}}) },
		"something was mounted":      func() { q.l.ears.add([]watch.Event{{Kind: watch.Mounts}}) },
		"something of the namespace": func() { q.l.ears.add([]watch.Event{{Kind: watch.Links, Name: q.g.Name}}) },
		"the Drift has read it": func() {
			q.l.ears.add([]watch.Event{{Kind: watch.Links, Name: q.g.Name}})
			q.l.lookAtHeard(names)
		},
		"the Drift was told, and it was settled again": func() {
			q.l.ears.add([]watch.Event{{Kind: watch.Links, Name: q.g.Name}})
			q.l.lookAtHeard(names)
			q.l.settle(names)
		},
		"another definition": func() { q.g.Ambassador().Rate.Out++ },
		"not heard any more": func() { q.l.groups[q.g.Name].heard = false; q.l.noteQuiet() },
	} {
		t.Run(name, func(t *testing.T) { losesNeighbours(t, why) })
	}
	q.settle()
	q.run("nft", "flush", "ruleset")
	q.expect(host.Absent)
	q.settle()
	q.run("nsenter", "--net="+q.n.layout.NetnsPath(q.g.Name), "nft", "flush", "ruleset")
	if s := q.n.Observe(t.Context(), q.g.Name, q.g); s.Namespace != host.Absent {
		t.Errorf("after its rules were flushed: %+v", s)
	}
	for name, step := range map[string]func() error{
		"seal": func() error { return q.n.Seal(t.Context(), q.g.Name) }, "connect": func() error { return q.n.Connect(t.Context(), q.g) },
	} {
		q.settle()
		if err := step(); err != nil || q.known() {
			t.Errorf("after our own step %s: %v, link known: %v", name, err, q.known())
		}
	}
	q.settle()
	ns := must(q.n.open(q.g.Name))(t)
	ns.Close()
	if _, ok := q.n.quietLinks.recall(q.g.Name, pin{1, 1}); ok {
		t.Error("the link of another namespace is known")
	}
}
