package network

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// A listening is a Drift that hears what happens, in the hands of a test.
type listening struct {
	*Drift
	t *testing.T
}

func newListening(t *testing.T, n *Network) *listening {
	t.Helper()
	w := must(watch.Open())(t)
	d := n.NewDrift()
	d.Hear(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Close()
	})
	return &listening{d, t}
}

// noTurn is a turn that is neither the host's nor that of a group.
func noTurn(t *testing.T, groups []string) int {
	t.Helper()
	for turn := range turnEvery {
		if turn%hostEvery != 0 && !slices.ContainsFunc(groups, func(g string) bool { return isTurn(g, turn) }) {
			return turn
		}
	}
	t.Fatal("every turn is that of a group")
	return 0
}

// settle looks as each second, without the seconds between, until nothing would be read.
func (l *listening) settle(groups []string) {
	l.t.Helper()
	turn := noTurn(l.t, groups)
	for range 20 {
		l.lookEachSecond(groups, turn)
		if l.hostQuiet() && !l.hostRead && !slices.ContainsFunc(groups, func(g string) bool { return !l.quiet(l.groups[g]) }) {
			return
		}
	}
	for _, g := range groups {
		l.t.Errorf("%s: %+v", g, l.groups[g])
	}
	l.t.Fatalf("never quiet; host: %+v", l.host)
}

// heard waits until what was heard has led to these groups. It never looks because of time.
func (l *listening) heard(groups, want []string) {
	l.t.Helper()
	var got []string
	for timeout := time.After(5 * longWait); !slices.Equal(got, want) || len(want) == 0; {
		select {
		case <-l.ears.soon:
			got = slices.Compact(slices.Sorted(slices.Values(append(got, l.lookAtHeard(groups)...))))
		case <-timeout:
			l.t.Errorf("heard of changes of %q, want %q", got, want)
			return
		}
		if len(want) == 0 {
			got = l.Changed(groups)
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// What others change is heard. While nothing is heard, nothing is read.
func TestRootDriftIsHeard(t *testing.T) {
	netnstest.Root(t)
	n := newNetwork(t, testLayout(t))
	g, other := testGroup("checkout", nil), testGroup("till", nil)
	both := []*spec.Group{g, other}
	for _, g := range both {
		defer removeGroup(t, n, g.Name)
	}
	names := []string{g.Name, other.Name}
	l := newListening(t, n)
	for _, tt := range changesByOthers(n, g.Name, names) {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			for _, g := range both {
				bringUp(t, n, g)
				n.Observe(t.Context(), g.Name, g)
			}
			l.settle(names)
			if out, err := exec.Command(tt.command[0], tt.command[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", tt.command, err, out)
			}
			l.heard(names, tt.want)
		})
	}

	// Our own change of one group's rules concerns no other, and costs no reading of it.
	for _, g := range both {
		bringUp(t, n, g)
		n.Observe(t.Context(), g.Name, g)
	}
	l.t = t
	l.settle(names)
	g.Ambassador().Publish = []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}}
	bringUp(t, n, g)
	<-l.ears.soon
	if got := l.lookAtHeard(names); slices.Contains(got, other.Name) {
		t.Errorf("our change of %s is taken for a change of %s", g.Name, other.Name)
	}
	removeGroup(t, n, g.Name)
	if l.lookEachSecond([]string{other.Name}, noTurn(t, names)); len(l.groups) != 1 {
		t.Errorf("after a group is gone, %d are remembered", len(l.groups))
	}
}

// A settled group costs no system call each second, except those for its programs where there is no
// survey.
func TestRootSettledGroupsAreNotRead(t *testing.T) {
	n := newNetwork(t, layout.Layout{RunDir: t.TempDir(), CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64"})
	var names []string
	for i := range 20 {
		g := testGroup(fmt.Sprint("g", i), nil)
		names = append(names, g.Name)
		if err := seal(t, n, g); err != nil {
			t.Fatal(err)
		}
		defer removeGroup(t, n, g.Name)
	}
	calls := netnstest.NewCallCounter(t)
	l := newListening(t, n)
	l.settle(names)
	turn := noTurn(t, names)
	rest := calls.Count(func() { l.lookEachSecond(names, turn) })
	programs := calls.Count(func() {
		for _, name := range names {
			_, _ = l.programs(name)
		}
	})
	read := calls.Count(func() { l.Changed(names) })
	most := len(names) - 1  // less than one for each group
	if len(l.prints) == 0 { // a kernel without the survey
		most += programs
	}
	t.Logf("%d groups: %d calls at rest; %d for their programs, without a survey; %d to read all", len(names), rest, programs, read)
	if rest > most {
		t.Errorf("%d calls at rest, want %d at most", rest, most)
	}
	if read < 20*len(names) {
		t.Errorf("%d calls to read %d groups: they are not counted", read, len(names))
	}
}

// What was lost may be anything, so everything is read, but no more often than each second.
func TestRootLostEvents(t *testing.T) {
	netnstest.Root(t)
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	names := []string{g.Name}
	l := newListening(t, n)
	l.settle(names)
	l.groups[g.Name].settled.links++ // as if a change had not been heard
	l.groups[g.Name].repeats = settleAfter
	if got := l.lookEachSecond(names, noTurn(t, names)); got != nil {
		t.Errorf("read without a reason: %q", got)
	}
	l.ears.add([]watch.Event{{Kind: watch.Lost}})
	if got := l.lookAtHeard(names); got != nil {
		t.Errorf("read before its second: %q", got)
	}
	if got := l.lookEachSecond(names, noTurn(t, names)); !slices.Equal(got, names) {
		t.Errorf("after events were lost: %q", got)
	}
}

// The host's part is read once a second, however often other programs change their tables. What
// they change of ours is found all the same: at once, or with the second.
func TestRootHostIsReadOnceASecond(t *testing.T) {
	netnstest.Root(t)
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	names := []string{g.Name}
	w := must(watch.Open())(t)
	defer w.Close()
	l := &listening{n.NewDrift(), t} // it hears nothing but what the test adds
	l.Hear(w)
	turn := noTurn(t, names)
	nft := func(command string) (changed []string) {
		t.Helper()
		if out, err := exec.Command("nft", command).CombinedOutput(); err != nil {
			t.Fatalf("nft %s: %v: %s", command, err, out)
		}
		l.ears.add([]watch.Event{{Kind: watch.Rules}})
		return l.lookAtHeard(names)
	}
	const theirs, ours = "add table inet theirs; delete table inet theirs", "flush set inet sallyport links"
	l.settle(names)
	reads := func() int { return l.host.repeats } // it grows with each read that finds nothing
	before := reads()
	for second := 1; second <= 3; second++ {
		for range 4 {
			if got := nft(theirs); got != nil {
				t.Errorf("another's table is taken for a change of %q", got)
			}
		}
		l.lookEachSecond(names, turn)
		if got := reads() - before; got != 1+second { // the first was read at once
			t.Errorf("read %d times in %d seconds", got, second)
		}
	}
	for _, tt := range []struct {
		name   string
		atOnce bool
	}{{"after a quiet second", true}, {"after a read", false}} {
		bringUp(t, n, g)
		l.settle(names)
		if !tt.atOnce {
			nft(theirs)
		}
		if got := nft(ours); (got != nil) != tt.atOnce {
			t.Errorf("%s: a change of ours is found at once: %q", tt.name, got)
		}
		if got := l.lookEachSecond(names, turn); !tt.atOnce && !slices.Equal(got, names) {
			t.Errorf("%s: a second later: %q", tt.name, got)
		}
	}
}

// A change may be seen only a moment after it was heard of, so the group is read again.
func TestRootHeardTooEarly(t *testing.T) {
	netnstest.Root(t)
	n := newNetwork(t, testLayout(t))
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	names := []string{g.Name}
	l := newListening(t, n)
	l.settle(names)
	l.ears.add([]watch.Event{{Kind: watch.Links, Name: g.Name}})
	if got := l.lookAtHeard(names); got != nil {
		t.Errorf("changed: %q", got)
	}
	l.groups[g.Name].settled.links++ // as if the change were seen from here on
	if got := l.lookEachSecond(names, noTurn(t, names)); !slices.Equal(got, names) {
		t.Errorf("a second later: %q", got)
	}
}

// A group that can't be heard is read each second, and the log has why, once.
func TestRootGroupThatIsNotHeard(t *testing.T) {
	netnstest.Root(t)
	var out bytes.Buffer
	n := must(New(Config{Layout: testLayout(t), Log: slog.New(slog.NewTextHandler(&out, nil))}))(t)
	g := testGroup("checkout", nil)
	defer removeGroup(t, n, g.Name)
	bringUp(t, n, g)
	names := []string{g.Name}
	d, w := n.NewDrift(), must(watch.Open())(t)
	d.Hear(w)
	w.Close()
	for range 2 * settleAfter {
		d.lookEachSecond(names, noTurn(t, names))
	}
	if d.quiet(d.groups[g.Name]) {
		t.Error("it is not read although it is not heard")
	}
	change := changesByOthers(n, g.Name, names)[0]
	if out, err := exec.Command(change.command[0], change.command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", change.command, err, out)
	}
	if got := d.lookEachSecond(names, noTurn(t, names)); !slices.Equal(got, names) {
		t.Errorf("changed: %q", got)
	}
	if strings.Count(out.String(), "level=WARN") != 1 {
		t.Errorf("logged: %s", out.String())
	}
}
