package ruleset

import (
	"testing"
	"time"

	"github.com/google/nftables"
)

// A counted source makes a table, and counts how often.
type counted struct {
	name string
	made *int
}

func (c counted) Table() Table {
	*c.made++
	return Table{Name: "t", From: c, Chains: []Chain{
		{Name: "in", Base: &Base{Type: nftables.ChainTypeFilter, Hook: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter}},
		{Name: c.name},
	}}
}

// Tables of thousands of namespaces stay known, each by itself. What is no longer asked for goes.
func TestMemoryOfManyNamespaces(t *testing.T) {
	const living, dead = 3000, 5000
	m := tables{spaces: map[uint64]*space{}}
	now, made := time.Now(), 0
	table := counted{"c", &made}.Table()
	at := func(namespace, number int) Generation { return Generation{uint64(namespace), uint32(number)} }
	known := func(from, to, number int) (n int) {
		for namespace := from; namespace < to; namespace++ {
			if _, ok := m.recall(at(namespace, number), "t", now); ok {
				n++
			}
		}
		return n
	}
	for n := range living {
		m.remember(at(n, 1), table, now)
	}
	if n := known(0, living, 1); n != living {
		t.Errorf("%d of %d tables are known", n, living)
	}
	m.carry(at(7, 1), at(7, 2))
	if n := known(0, living, 1); n != living-1 || known(7, 8, 2) != 1 {
		t.Errorf("after a batch in one namespace, %d of %d others are known, and its own: %d", n, living-1, known(7, 8, 2))
	}
	m.carry(at(7, 2), at(7, 1))
	for n := living; n < living+dead; n++ {
		m.remember(at(n, 1), table, now)
	}
	now = now.Add(unasked)
	known(0, living, 1)
	for n := living + dead; n < living+2*dead; n++ {
		m.remember(at(n, 1), table, now)
	}
	if n := known(0, living, 1); n != living {
		t.Errorf("%d of %d living namespaces are known", n, living)
	}
	if n := len(m.spaces); n > 2*(living+dead) {
		t.Errorf("%d namespaces are remembered", n)
	}
	m.forget(7, "other")
	m.forget(7, "t")
	if known(7, 8, 1) != 0 || m.spaces[7] != nil {
		t.Error("a table that is forgotten is known")
	}
}

// A table is not made to be compared with one of the same source.
func TestKnownTableIsNotMade(t *testing.T) {
	made, now := 0, time.Now()
	same, other := counted{"c", &made}, counted{"d", &made}
	at := Generation{1 << 60, 7}
	memory.remember(at, same.Table(), now)
	t.Cleanup(func() { memory.forget(at.namespace, "t") })
	made = 0
	if !at.MatchesFrom("t", same) || !at.Matches(Table{Name: "t", From: same}) {
		t.Error("it does not match itself")
	}
	if !at.Holds(Table{Name: "t", Chains: []Chain{{Name: "c"}}}) {
		t.Error("it does not hold its own chain")
	}
	if made != 0 {
		t.Errorf("the table was made %d times", made)
	}
	for _, chain := range []string{"d", "in", ""} { // another, another base, no name
		if at.Holds(Table{Name: "t", Chains: []Chain{{Name: chain}}}) {
			t.Errorf("it holds a chain %q", chain)
		}
	}
	if at.MatchesFrom("t", other) {
		t.Error("it matches another table")
	}
	if made != 2 {
		t.Errorf("two tables that differ were made %d times", made)
	}
	whole := other.Table()
	whole.From = nil
	memory.remember(at, whole, now)
	if !at.Matches(whole) || !at.MatchesFrom("t", other) || at.MatchesFrom("t", same) {
		t.Error("a table without a source is not compared by what it has")
	}
}
