package ruleset_test

import (
	"os"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func glance(t *testing.T, ns *os.File) (at ruleset.Generation) {
	t.Helper()
	netnstest.In(t, ns, func() (err error) {
		at, err = ruleset.Glance()
		return err
	})
	return at
}

// A glance has the generation that a connection reads, and knows a table until any table changes.
func TestRootGlance(t *testing.T) {
	netnstest.Root(t)
	ns, other := netnstest.NewNamespace(t), netnstest.NewNamespace(t)
	conn := open(t, ns)
	table, without := numbered(1, 2, 3), numbered(1, 2)
	if _, err := ruleset.Apply(conn, table); err != nil {
		t.Fatal(err)
	}
	same := func(when string, want bool) {
		t.Helper()
		at := glance(t, ns)
		if now, err := conn.Generation(); err != nil || now != at {
			t.Errorf("%s: a glance has %v, a connection %v, %v", when, at, now, err)
		}
		if got := []bool{at.Known(table.Name), at.Matches(table), at.Holds(table)}; slices.Contains(got, !want) {
			t.Errorf("%s: known, matches, holds: %v, want %v", when, got, want)
		}
	}
	same("after it was written", true)
	at := glance(t, ns)
	if at.Matches(without) {
		t.Error("it matches a table with fewer rules")
	}
	if more := table; at.Holds(ruleset.Table{Name: more.Name, Chains: append(slices.Clone(more.Chains), ruleset.Chain{Name: "more"})}) {
		t.Error("it holds a chain that it has not")
	}
	if theirs := glance(t, other); theirs.Known(table.Name) || theirs == at {
		t.Errorf("another namespace is at %v, and knows its tables: %v", theirs, theirs.Known(table.Name))
	}
	netnstest.NFT(t, ns, "flush table inet "+table.Name+"\n", "-f", "-")
	same("after another program has flushed it", false)
	if ok, err := ruleset.Matches(conn, without); err != nil || ok {
		t.Errorf("an empty table matches: %v, %v", ok, err)
	}
	same("after it was read and differed", false)
	if _, err := ruleset.Apply(conn, table); err != nil {
		t.Fatal(err)
	}
	same("after it was written again", true)
}
