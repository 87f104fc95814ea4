package ruleset

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// Apply makes the kernel's table the wanted one, in one batch that takes effect whole or not at
// all. An equal table is left alone. What is as wanted stays: chains, counters with their counts,
// and elements of open sets. If a set is of another kind, or a chain is hooked elsewhere, the whole
// table is made anew. Then counts and elements are carried over, except those of sets that count:
// the nftables library can't write their counts.
func Apply(conn *Conn, t Table) (changed bool, err error) {
	found, before, err := compare(conn, t)
	if err != nil {
		return false, fmt.Errorf("read table %q: %w", t.Name, err)
	}
	if found.likeness == same {
		return false, nil
	}
	forget(conn.namespace, t.Name)
	if err := write(conn, t, found); err != nil {
		return false, fmt.Errorf("write table %q: %w", t.Name, err)
	}
	// No other batch came in between: the table is as it was written. If one did, the table is not
	// known. What another reader has remembered meanwhile may be from before the write, and
	// [Conn.Commit] has carried it over.
	if after, err := conn.Generation(); err == nil && after.Follows(before) {
		remember(after, t)
	} else {
		forget(conn.namespace, t.Name)
	}
	return true, nil
}

// Delete removes a table with everything in it. An absent table is no error.
func Delete(conn *Conn, name string) error {
	forget(conn.namespace, name)
	conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	if err := conn.Commit(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete table %q: %w", name, err)
	}
	return nil
}

// write sends the batch. The namespace is never without the deny: the kernel puts the whole batch
// in force at once.
func write(conn *Conn, t Table, found finding) error {
	if found.likeness == sameShape {
		return repair(conn, t, found)
	}
	table := t.handle()
	var kept contents
	if found.likeness == different {
		var err error
		if kept, err = readContents(conn, t, found); err != nil {
			return err
		}
		conn.DelTable(table)
	}
	conn.AddTable(table)
	for _, name := range t.Counters {
		conn.AddObj(counterHandle(table, name, kept.counts[name]))
	}
	for _, q := range t.Quotas {
		conn.AddObj(q.handle(table, q.spent(kept.counts)))
	}
	for _, s := range t.Sets {
		elements := s.Elements
		if s.Open && found.sets[s.Name] {
			elements = kept.elements[s.Name]
		}
		if err := addSet(conn, s.Handle(t.Name), elements); err != nil {
			return err
		}
	}
	for _, c := range t.Chains {
		conn.AddChain(c.handle(table))
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			conn.AddRule(r.handle(table, c))
		}
	}
	return conn.Commit()
}

func counterHandle(table *nftables.Table, name string, starts Counter) *nftables.NamedObj {
	return &nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{Packets: starts.Packets, Bytes: starts.Bytes}}
}

func addSet(conn *Conn, h *nftables.Set, elements []nftables.SetElement) error {
	if err := conn.AddSet(h, nil); err != nil {
		return fmt.Errorf("set %q: %w", h.Name, err)
	}
	return AddElements(conn, h, elements)
}

// contents are the counts and the elements of open sets of a table.
type contents struct {
	counts   map[string]Counter
	elements map[string][]nftables.SetElement
}

// readContents reads what a table that is made anew begins with.
func readContents(conn *Conn, t Table, found finding) (contents, error) {
	return Read(conn, func(Generation) (contents, error) {
		counts, err := readCounts(conn, t.Name)
		if err != nil {
			return contents{}, err
		}
		c := contents{counts, map[string][]nftables.SetElement{}}
		for _, s := range t.Sets {
			if !s.Open || s.Fleeting || !found.sets[s.Name] {
				continue
			}
			all, err := conn.GetSetElements(s.Handle(t.Name))
			if err != nil {
				return contents{}, err
			}
			for _, e := range all {
				if e.Counter == nil {
					c.elements[s.Name] = append(c.elements[s.Name], nftables.SetElement{Key: e.Key, KeyEnd: e.KeyEnd, Val: e.Val})
				}
			}
		}
		return c, nil
	})
}

// repair changes only the sets, counters, rules, elements, quotas and chains that differ. Adding
// costs little. For each deletion the kernel waits for grace periods before it frees memory, and
// others wait for the kernel. Sets, quotas and chains are made before the rules that name them, and
// deleted after those.
func repair(conn *Conn, t Table, found finding) error {
	for _, name := range t.Counters {
		if !found.counters[name] {
			conn.AddObj(counterHandle(t.handle(), name, Counter{}))
		}
	}
	for _, s := range t.Sets {
		h := s.Handle(t.Name)
		if _, there := found.sets[s.Name]; !there {
			if err := addSet(conn, h, s.Elements); err != nil {
				return err
			}
			continue
		}
		if s.Open {
			continue
		}
		add, del := Diff(found.elements[s.Name], s.Elements)
		if err := DeleteElements(conn, h, del); err != nil {
			return err
		}
		if err := AddElements(conn, h, add); err != nil {
			return err
		}
	}
	if err := addQuotas(conn, t, found.quotas); err != nil {
		return err
	}
	for _, c := range t.Chains {
		if !found.chains[c.Name] {
			conn.AddChain(c.handle(t.handle()))
		}
	}
	for _, c := range t.Chains {
		got, read := found.rules[c.Name]
		if !read { // known to be equal
			continue
		}
		if err := repairChain(conn, t.handle(), c, got); err != nil {
			return fmt.Errorf("chain %q: %w", c.Name, err)
		}
	}
	deleteUnwanted(conn, t, found)
	return conn.Commit()
}

// deleteUnwanted deletes the chains, sets, counters and quotas that are not wanted. No wanted rule
// names one of them. A map may name a chain.
func deleteUnwanted(conn *Conn, t Table, found finding) {
	wanted := t.chains()
	var unwanted []*nftables.Chain
	for name := range found.chains {
		if _, ok := wanted[name]; !ok {
			unwanted = append(unwanted, &nftables.Chain{Table: t.handle(), Name: name})
		}
	}
	for _, c := range unwanted { // they may name each other
		conn.FlushChain(c)
	}
	for name := range found.sets {
		if !slices.ContainsFunc(t.Sets, func(s Set) bool { return s.Name == name }) {
			conn.DelSet(&nftables.Set{Table: t.handle(), Name: name})
		}
	}
	for _, c := range unwanted {
		conn.DelChain(c)
	}
	for name := range found.counters {
		if !slices.Contains(t.Counters, name) {
			conn.DeleteObject(counterHandle(t.handle(), name, Counter{}))
		}
	}
	for name := range found.quotas {
		if !slices.ContainsFunc(t.Quotas, func(q Quota) bool { return q.Name == name }) {
			conn.DeleteObject(Quota{Name: name}.handle(t.handle(), 0))
		}
	}
}

// repairChain keeps the equal rules at the beginning and the end of a chain, and replaces those
// between.
func repairChain(conn *Conn, table *nftables.Table, c Chain, got []*nftables.Rule) error {
	head := 0
	for head < min(len(got), len(c.Rules)) && sameRule(got[head], c.Rules[head]) {
		head++
	}
	tail := 0
	for tail < min(len(got), len(c.Rules))-head && sameRule(got[len(got)-1-tail], c.Rules[len(c.Rules)-1-tail]) {
		tail++
	}
	for _, r := range got[head : len(got)-tail] {
		if err := conn.DelRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: c.Name}, Handle: r.Handle}); err != nil {
			return err
		}
	}
	for _, r := range c.Rules[head : len(c.Rules)-tail] {
		h := r.handle(table, c)
		if tail == 0 {
			conn.AddRule(h) // behind all others
			continue
		}
		h.Position = got[len(got)-tail].Handle
		conn.InsertRule(h) // in front of the first that stays
	}
	return nil
}

// elementsPerMessage of the longest key stay far below 64 KiB, the most that a netlink attribute
// holds.
const elementsPerMessage = 256

// AddElements puts messages into the batch that add elements to a set, as many as needed.
func AddElements(conn *Conn, set *nftables.Set, elements []nftables.SetElement) error {
	return inMessages(set, elements, conn.SetAddElements)
}

// DeleteElements puts messages into the batch that delete elements from a set.
func DeleteElements(conn *Conn, set *nftables.Set, elements []nftables.SetElement) error {
	return inMessages(set, elements, conn.SetDeleteElements)
}

func inMessages(set *nftables.Set, elements []nftables.SetElement, put func(*nftables.Set, []nftables.SetElement) error) error {
	for chunk := range slices.Chunk(elements, elementsPerMessage) {
		if err := put(set, chunk); err != nil {
			return fmt.Errorf("set %q: %w", set.Name, err)
		}
	}
	return nil
}

func (c Chain) handle(table *nftables.Table) *nftables.Chain {
	h := &nftables.Chain{Name: c.Name, Table: table}
	if b := c.Base; b != nil {
		policy := b.Policy
		h.Type, h.Hooknum, h.Priority, h.Policy = b.Type, b.Hook, b.Priority, &policy
	}
	return h
}

func (r Rule) handle(table *nftables.Table, c Chain) *nftables.Rule {
	return &nftables.Rule{Table: table, Chain: &nftables.Chain{Name: c.Name}, Exprs: r.Exprs, UserData: r.userData()}
}

func (r Rule) userData() []byte {
	if r.Comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, r.Comment)
}
