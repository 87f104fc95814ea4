package ruleset_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/nftables"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func TestMain(m *testing.M) { os.Exit(netnstest.Main(m)) }

func open(t *testing.T, ns *os.File) *ruleset.Conn {
	t.Helper()
	conn, err := ruleset.Open(int(ns.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// numbered returns a table of one chain whose rules have numbers as comments.
func numbered(rules ...int) ruleset.Table {
	c := ruleset.Chain{Name: "c", Base: &ruleset.Base{Type: nftables.ChainTypeFilter, Hook: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter}}
	for _, n := range rules {
		c.Rules = append(c.Rules, ruleset.NewRule(fmt.Sprint(n), ruleset.L4Proto(byte(n)), ruleset.Accept()))
	}
	return ruleset.Table{Name: "t", Chains: []ruleset.Chain{c}}
}

// The wanted list replaces any other list of rules, in order, whether or not this process remembers
// the other one.
func TestRootAnyRulesBecomeAnyOthers(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	conn, stranger := open(t, ns), open(t, ns)
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOfN(rapid.IntRange(1, 9), 0, 7)
		want := list.Draw(r, "rules")
		if rapid.Bool().Draw(r, "a batch of another in between") {
			stranger.AddTable(&nftables.Table{Name: "other", Family: nftables.TableFamilyINet})
			if err := stranger.Commit(); err != nil {
				r.Fatal(err)
			}
		}
		if _, err := ruleset.Apply(conn, numbered(want...)); err != nil {
			r.Fatal(err)
		}
		rules, err := conn.GetRules(&nftables.Table{Name: "t", Family: nftables.TableFamilyINet}, &nftables.Chain{Name: "c"})
		if err != nil {
			r.Fatal(err)
		}
		var got []string
		for _, x := range rules {
			got = append(got, strings.Trim(string(x.UserData[2:]), "\x00"))
		}
		if g, w := strings.Join(got, " "), strings.Trim(fmt.Sprint(want), "[]"); g != w {
			r.Fatalf("rules are %s, want %s", g, w)
		}
		if changed, err := ruleset.Apply(conn, numbered(want...)); changed || err != nil {
			r.Fatalf("a second time: changed %v, %v", changed, err)
		}
	})
}

// A set with more elements than fit into one message is written whole, and so is a change of most
// of them.
func TestRootLargeSet(t *testing.T) {
	netnstest.Root(t)
	conn := open(t, netnstest.NewNamespace(t))
	large := func(from, to int) ruleset.Table {
		s := ruleset.NewSet("s", nftables.TypeIP6Addr, nftables.TypeInetService)
		for i := from; i < to; i++ {
			a := netip.AddrFrom16([16]byte{0xfd, 0, byte(i >> 8), byte(i)}).AsSlice()
			s.Elements = append(s.Elements, nftables.SetElement{Key: ruleset.Key(a, ruleset.Port(1))})
		}
		return ruleset.Table{Name: "t", Sets: []ruleset.Set{s}}
	}
	for _, table := range []ruleset.Table{large(0, 3000), large(10, 600), large(500, 4000)} {
		if _, err := ruleset.Apply(conn, table); err != nil {
			t.Fatal(err)
		}
		// The kernel may leave elements out of a listing while it moves them to a larger table.
		netnstest.Eventually(t, "the set is whole", func() bool {
			got, err := conn.GetSetElements(table.Sets[0].Handle("t"))
			add, del := ruleset.Diff(got, table.Sets[0].Elements)
			return err == nil && len(add)+len(del) == 0
		})
	}
}

func TestRootGenerationCountsAllBatches(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	conn := open(t, ns)
	generation := func() ruleset.Generation {
		t.Helper()
		g, err := conn.Generation()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	before := generation()
	if before != generation() {
		t.Error("reading changed the generation")
	}
	netnstest.NFT(t, ns, "", "add table inet x")
	after := generation()
	if !after.Follows(before) || before.Follows(after) || after.Follows(after) {
		t.Errorf("%v does not follow %v by one", after, before)
	}
	other, err := open(t, netnstest.NewNamespace(t)).Generation()
	if err != nil {
		t.Fatal(err)
	}
	if other.Follows(before) || other == before {
		t.Error("a generation of another namespace is taken for one of this namespace")
	}
}
