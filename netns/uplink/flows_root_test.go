package uplink

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A daemon that was killed between the rules and the flows leaves these to the next one. So does
// one that kept no file.
func TestRootFlowsAreLeftToTheNextDaemon(t *testing.T) {
	for _, left := range []string{"killed", "no file", "killed, and the table is gone"} {
		t.Run(left, func(t *testing.T) {
			s := newHarness(t)
			forgetFlows(t)
			c := config("sallyport")
			c.Unjudged = filepath.Join(t.TempDir(), "run", "unjudged")
			daemon := func() *Uplink { return must(New(c))(t) }
			s.one.Publish = []Publish{{Protocol: "tcp", Host: 8443, Port: 443}, {Protocol: "tcp", Host: 8444, Port: 443}}
			put(t, daemon(), s.one, s.two)
			open(t, s, 8443)
			open(t, s, 8444)
			if got := ports(t); len(got) != 2 {
				t.Fatalf("flows to ports %v are open, want two", got)
			}

			changed := s.one
			changed.Publish = s.one.Publish[1:]
			killed := daemon()
			if err := killed.locked(func(conn *ruleset.Conn) error {
				add, del, err := killed.diff(conn, changed)
				if err != nil {
					return err
				}
				if err := killed.expect(conn, changed.Group...); err != nil {
					return err
				}
				return killed.change(conn, add, del)
			}); err != nil {
				t.Fatal(err)
			}
			switch left {
			case "no file":
				if err := os.Remove(c.Unjudged); err != nil {
					t.Fatal(err)
				}
			case "killed, and the table is gone":
				drop(t, killed)
			}
			if got := ports(t); len(got) != 2 {
				t.Fatalf("flows to ports %v are open, want two", got)
			}

			next := daemon()
			if inForce(t, next, changed) {
				t.Error("in force, with a flow that the rules refuse")
			}
			put(t, next, changed, s.two)
			if got := ports(t); len(got) != 1 || got[0] != 8444 {
				t.Errorf("flows to ports %v are open, want 8444 alone", got)
			}
			if !inForce(t, next, changed) || !inForce(t, daemon(), changed) {
				t.Error("not in force, although the flows are judged")
			}
		})
	}
}

// Rules change although whose flows are to be judged can't be recorded, as on a full disk. The next
// daemon judges those of all groups.
func TestRootRulesDoNotWaitForADisk(t *testing.T) {
	s := newHarness(t)
	forgetFlows(t)
	c := config("sallyport")
	c.Unjudged = filepath.Join(t.TempDir(), "unjudged")
	u := must(New(c))(t)
	s.one.Publish = []Publish{{Protocol: "tcp", Host: 8443, Port: 443}, {Protocol: "tcp", Host: 8444, Port: 443}}
	put(t, u, s.one, s.two)
	open(t, s, 8443)
	open(t, s, 8444)
	if err := os.MkdirAll(filepath.Join(c.Unjudged+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.one.Publish = s.one.Publish[1:]
	put(t, u, s.one)
	if got := ports(t); len(got) != 1 || got[0] != 8444 {
		t.Errorf("flows to ports %v are open, want 8444 alone", got)
	}
	if _, err := os.Stat(c.Unjudged); err == nil {
		t.Error("there is a file, with what was to be judged before")
	}
	if err := os.RemoveAll(c.Unjudged + ".new"); err != nil {
		t.Fatal(err)
	}
	next := must(New(c))(t)
	if inForce(t, next, s.one) {
		t.Error("the next daemon judges nothing")
	}
	put(t, next, s.one, s.two)
	if !inForce(t, next, s.one) {
		t.Error("not in force, although the flows are judged")
	}
}

// The table and its entries come into force although the kernel can't list its flows. The caller
// learns that these are not judged.
func TestRootEntriesDoNotWaitForFlows(t *testing.T) {
	s := newHarness(t)
	forgetFlows(t)
	c := config("sallyport")
	c.Unjudged = filepath.Join(t.TempDir(), "unjudged")
	put(t, s.uplink, s.one, s.two)
	u := must(New(c))(t) // without a file: the flows of all are to be judged
	u.flows = func(...netip.Addr) ([]conntrack.Flow, error) { return nil, conntrack.ErrUnsupported }
	if err := u.Ensure(); err != nil {
		t.Errorf("ensure: %v", err)
	}
	s.one.Publish = []Publish{{Protocol: "tcp", Host: 8445, Port: 443}}
	if err := u.Put(s.one); !errors.Is(err, conntrack.ErrUnsupported) {
		t.Errorf("put: %v, want that flows can't be listed", err)
	}
	if !inForce(t, s.uplink, s.one) {
		t.Error("the table lacks the entry")
	}
	if inForce(t, u, s.one) {
		t.Error("in force, with flows that nobody has judged")
	}
	u.flows = conntrack.With
	put(t, u, s.one)
	if !inForce(t, u, s.one) {
		t.Error("not in force, although the flows are judged")
	}
}

// The flows of a group whose entry is gone are not judged with those of another group.
func TestRootFlowsOfAnEntryThatIsGone(t *testing.T) {
	s := newHarness(t)
	forgetFlows(t)
	c := config("sallyport")
	c.Unjudged = filepath.Join(t.TempDir(), "unjudged")
	u := must(New(c))(t)
	put(t, u, s.one, s.two)
	open(t, s, 8443)
	if err := os.Remove(c.Unjudged); err != nil { // all are to be judged
		t.Fatal(err)
	}
	u = must(New(c))(t)
	if inForce(t, u, s.one) {
		t.Fatal("nothing is to be judged")
	}
	drop(t, u)
	put(t, u, s.two)
	if got := ports(t); len(got) != 1 {
		t.Errorf("flows to ports %v are open, want that of the group without an entry", got)
	}
	put(t, u, s.one)
	if got := ports(t); len(got) != 1 {
		t.Errorf("flows to ports %v are open, want that of the group, which allows it", got)
	}
	if err := u.Delete(s.one.Link); err != nil {
		t.Fatal(err)
	}
	if got := ports(t); len(got) != 0 {
		t.Errorf("flows to ports %v are open after the group's end", got)
	}
}

// open connects from outside to a published port. The connection stays open until the test ends.
func open(t *testing.T, s *harness, port uint16) {
	t.Helper()
	l := must(s.group.TCP(s.one.Group[0]))(t)
	defer l.Close()
	c := must(s.outside.TCP(s.out.Host4))(t)
	if err := l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Bind(netip.AddrPortFrom(s.one.Group[0], 443)); err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(netip.AddrPortFrom(s.out.Host4, port), patience); err != nil {
		t.Fatal(err)
	}
	a := must(l.Accept(patience))(t)
	t.Cleanup(func() { c.Close(); a.Close() })
}

// forgetFlows deletes the group's flows of earlier tests.
func forgetFlows(t *testing.T) {
	t.Helper()
	if err := conntrack.Delete(must(conntrack.With(netip.MustParseAddr("10.209.0.1")))(t)...); err != nil {
		t.Fatal(err)
	}
}

// ports returns the ports of the host that flows to the group were opened to.
func ports(t *testing.T) (out []uint16) {
	t.Helper()
	for _, f := range must(conntrack.With(netip.MustParseAddr("10.209.0.1")))(t) {
		if f.Protocol == unix.IPPROTO_TCP {
			out = append(out, f.To.Port())
		}
	}
	return out
}
