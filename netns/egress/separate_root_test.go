package egress_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A unixPair is two members and an ambassador in one namespace, and a cgroup for each side.
type unixPair struct {
	fencePair
	other *netnstest.Helper // the second member
	sides []string
}

// newUnixPair skips the test on a kernel that can't separate abstract sockets. A test in a whole
// machine, whose kernel can, looks that these tests have run.
func newUnixPair(t *testing.T) unixPair {
	t.Helper()
	netnstest.Root(t)
	v, err := egress.SelfTest(t.Context(), netnstest.CgroupRoot())
	if err != nil {
		t.Fatal(err)
	}
	if v.Joined != nil {
		t.Skip(v.Joined)
	}
	return newUnixPairAnywhere(t)
}

func newUnixPairAnywhere(t *testing.T) unixPair {
	t.Helper()
	f := newFencePair(t)
	p := unixPair{fencePair: f, sides: []string{f.members, path.Join(path.Dir(f.members), "ambassador")}}
	// The second member is deeper, as with another runtime.
	deeper := path.Join(f.members, "api/init/task")
	if _, err := f.h.Make(deeper); err != nil {
		t.Fatal(err)
	}
	p.other = netnstest.NewHelper(t, f.ns, deeper)
	return p
}

func (p unixPair) separate(t *testing.T) {
	t.Helper()
	for _, side := range p.sides {
		if err := egress.Separate(p.h, side); err != nil {
			t.Fatal(err)
		}
	}
}

// A way is one way to a unix socket of another process. The receiver's name is empty for autobind.
type way struct {
	name     string
	kind     int
	receiver string
	abstract bool
}

func ways(dir string) []way {
	var all []way
	for _, x := range []struct {
		name string
		kind int
	}{{"stream", unix.SOCK_STREAM}, {"seqpacket", unix.SOCK_SEQPACKET}, {"connected datagram", unix.SOCK_DGRAM}, {"datagram", unix.SOCK_DGRAM}} {
		all = append(all,
			way{x.name + ", abstract", x.kind, "@sallyport-test", true},
			way{x.name + ", autobound", x.kind, "", true},
			way{x.name + ", path", x.kind, filepath.Join(dir, "s"), false})
	}
	return all
}

// reach sends a word and reports the sender's error. It fails if the word does not arrive without
// one.
func (w way) reach(t *testing.T, from, to *netnstest.Helper) error {
	t.Helper()
	open := func(p *netnstest.Helper) *netnstest.Socket {
		s, err := p.Socket(unix.AF_UNIX, w.kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	receiver, sender := open(to), open(from)
	defer sender.Close()
	defer receiver.Close()
	if err := receiver.BindUnix(w.receiver); err != nil {
		t.Fatal(err)
	}
	if w.receiver != "" && w.receiver[0] == '/' {
		defer os.Remove(w.receiver)
	}
	name, err := receiver.LocalUnix()
	if err != nil {
		t.Fatal(err)
	}
	if w.kind != unix.SOCK_DGRAM {
		if err := receiver.Listen(); err != nil {
			t.Fatal(err)
		}
	}
	if w.name[:5] == "datag" {
		err = sender.SendToUnix(name, "word")
	} else if err = sender.ConnectUnix(name); err == nil {
		err = sender.Send("word")
	}
	if err != nil {
		return err
	}
	if w.kind != unix.SOCK_DGRAM {
		if receiver, err = receiver.Accept(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		defer receiver.Close()
	}
	if got, _, err := receiver.Receive(20 * time.Second); got != "word" || err != nil {
		t.Errorf("received %q, %v", got, err)
	}
	return nil
}

// Abstract names don't join the sides, in either direction. They join members, and within one side
// everything goes on. Names of files and sockets without names join as before.
func TestRootSeparateAbstractSockets(t *testing.T) {
	p := newUnixPair(t)
	dir := t.TempDir()
	for _, separated := range []bool{false, true} {
		if separated {
			p.separate(t)
		}
		for _, w := range ways(dir) {
			for _, x := range []struct {
				name     string
				from, to *netnstest.Helper
				across   bool
			}{
				{"member to ambassador", p.member, p.ambassador, true},
				{"deeper member to ambassador", p.other, p.ambassador, true},
				{"ambassador to member", p.ambassador, p.member, true},
				{"ambassador to deeper member", p.ambassador, p.other, true},
				{"member to member", p.member, p.other, false},
				{"member to member, the other way", p.other, p.member, false},
				{"ambassador to itself", p.ambassador, p.ambassador, false},
			} {
				t.Run(fmt.Sprintf("%s, %s, separated %v", w.name, x.name, separated), func(t *testing.T) {
					var want error
					if separated && x.across && w.abstract {
						want = unix.EPERM
					}
					if err := w.reach(t, x.from, x.to); !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				})
			}
		}
		a, b, err := p.member.UnixPair(unix.SOCK_DGRAM)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Send("word"); err != nil {
			t.Errorf("socketpair: %v", err)
		}
		a.Close()
		b.Close()
	}
}

// A datagram socket that was connected before is refused at its next datagram.
func TestRootSeparateJudgesEachDatagram(t *testing.T) {
	p := newUnixPair(t)
	receiver, err := p.ambassador.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = receiver.BindUnix("@sallyport-test")
	}
	if err != nil {
		t.Fatal(err)
	}
	sender, err := p.member.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sender.ConnectUnix("@sallyport-test"), sender.Send("before")); err != nil {
		t.Fatal(err)
	}
	p.separate(t)
	if err := sender.Send("after"); !errors.Is(err, unix.EPERM) {
		t.Errorf("a connected datagram socket sends after the separation: %v", err)
	}
}

// A cgroup is as the last call has left it. Another process sees the same, and a second
// call changes nothing.
func TestRootSeparateIsSeen(t *testing.T) {
	p := newUnixPair(t)
	state := func(want bool) {
		t.Helper()
		for _, side := range p.sides {
			if got, err := egress.Separated(p.h, side); err != nil || got != want {
				t.Errorf("%s is separated: %v, %v, want %v", side, got, err, want)
			}
			if got, err := egress.Joined(p.h, side); err != nil || got == want {
				t.Errorf("%s is joined: %v, %v, want %v", side, got, err, !want)
			}
		}
	}
	print := func() (all string) {
		for _, side := range p.sides {
			one, err := egress.SeparationPrint(p.h, side)
			if err != nil {
				t.Fatal(err)
			}
			all += one
		}
		return all
	}
	state(false)
	before := print()
	p.separate(t)
	state(true)
	after := print()
	if before == after {
		t.Error("the fingerprint does not show the programs")
	}
	p.separate(t)
	if again := print(); again != after {
		t.Errorf("a second call has changed %s to %s", after, again)
	}
	for range 2 {
		for _, side := range p.sides {
			if err := egress.Join(p.h, side); err != nil {
				t.Fatal(err)
			}
		}
	}
	state(false)
	// The programs of the other side count for nothing.
	egress.AttachSeparation(t, p.h, p.sides[0], p.sides[1])
	if got, err := egress.Separated(p.h, p.sides[1]); err != nil || got {
		t.Errorf("separated by the programs of another cgroup: %v, %v", got, err)
	}
	p.separate(t)
	state(true)
	for _, look := range []func(string) error{
		func(at string) error { _, err := egress.Separated(p.h, at); return err },
		func(at string) error { _, err := egress.Joined(p.h, at); return err },
		func(at string) error { _, err := egress.SeparationPrint(p.h, at); return err },
		func(at string) error { return egress.Separate(p.h, at) },
	} {
		if err := look(p.sides[0] + "/absent"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an absent cgroup: %v", err)
		}
	}
	if err := egress.Join(p.h, p.sides[0]+"/absent"); err != nil {
		t.Errorf("join an absent cgroup: %v", err)
	}
}
