package ruleset

import (
	"cmp"
	"errors"
	"os"
	"reflect"
	"slices"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns"
)

// A likeness is how much of a table the kernel holds already.
type likeness int

const (
	absent    likeness = iota
	different          // there, with other sets or counters, or a chain hooked elsewhere
	sameShape          // the same but for rules, elements, quotas or whole chains
	same
)

// A finding is the result of a comparison. Rules and elements are read only if the shape is the
// same.
type finding struct {
	likeness
	rules    map[string][]*nftables.Rule // by chain; none for a wanted chain that is absent
	elements map[string][]nftables.SetElement
	chains   map[string]bool // those that exist
	quotas   map[string]Quota
}

// Matches reports whether the kernel holds exactly this table. It does not compare the elements of
// open sets.
func Matches(conn *Conn, t Table) (bool, error) {
	f, _, err := compare(conn, t)
	return f.likeness == same, err
}

// Holds reports whether the kernel has all chains of the table, with their hooks and policies. It
// compares neither rules nor what else is in the table.
func Holds(conn *Conn, t Table) (bool, error) {
	return Read(conn, func(at Generation) (bool, error) {
		if known, ok := recall(at, t.Name); ok {
			return holdsChains(known.chains(), t), nil
		}
		if ok, err := Exists(conn, t.Name); err != nil || !ok {
			return false, err
		}
		got, err := readChains(conn, t)
		return holdsChains(got, t), err
	})
}

// Exists reports whether there is a table of that name.
func Exists(conn *Conn, name string) (bool, error) {
	switch _, err := conn.ListTableOfFamily(name, nftables.TableFamilyINet); {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

// compare reads the table at a generation, or recalls it. A table that looks as wanted is as
// wanted, whatever other tables did meanwhile. One that looks different is read again.
func compare(conn *Conn, t Table) (f finding, at Generation, err error) {
	f, err = netns.Dump(func() (f finding, err error) {
		if at, err = conn.Generation(); err != nil {
			return f, err
		}
		if known, ok := recall(at, t.Name); ok {
			f, err = compareKnown(conn, known, t)
		} else {
			f, err = compareAll(conn, t)
		}
		if err == nil && f.likeness == same {
			return f, nil
		}
		return f, cmp.Or(conn.changedSince(at), err)
	})
	if err == nil && f.likeness == same {
		remember(at, t)
	}
	return f, at, err
}

func compareAll(conn *Conn, t Table) (finding, error) {
	if ok, err := Exists(conn, t.Name); err != nil || !ok {
		return finding{likeness: absent}, err
	}
	f := finding{likeness: same, rules: map[string][]*nftables.Rule{}, elements: map[string][]nftables.SetElement{}, chains: map[string]bool{}}
	got, err := readChains(conn, t)
	if err != nil {
		return f, err
	}
	for _, shape := range []func(*Conn, Table) (bool, error){sameSets, sameCounters} {
		if ok, err := shape(conn, t); err != nil || !ok {
			return finding{likeness: different}, err
		}
	}
	if f.quotas, err = readQuotas(conn, t.Name); err != nil {
		return f, err
	}
	if !f.compareShape(got, t) {
		return finding{likeness: different}, nil
	}
	for _, c := range t.Chains {
		if !f.chains[c.Name] {
			continue
		}
		rules, err := conn.GetRules(t.handle(), &nftables.Chain{Name: c.Name})
		if err != nil {
			return f, err
		}
		f.rules[c.Name] = rules
		if !slices.EqualFunc(rules, c.Rules, sameRule) {
			f.likeness = sameShape
		}
	}
	for _, s := range t.Sets {
		if s.Open {
			continue
		}
		elements, err := conn.GetSetElements(s.Handle(t.Name))
		if err != nil {
			return f, err
		}
		f.elements[s.Name] = elements
		if add, del := Diff(elements, s.Elements); len(add)+len(del) > 0 {
			f.likeness = sameShape
		}
	}
	return f, nil
}

// compareShape compares chains and quotas, which can be added and deleted one by one. It returns
// false if a chain has another hook than wanted: the kernel can't move a chain.
func (f *finding) compareShape(got map[string]Base, t Table) bool {
	for name := range got {
		f.chains[name] = true
	}
	for _, c := range t.Chains {
		base, there := got[c.Name]
		switch {
		case !there:
			f.likeness, f.rules[c.Name] = sameShape, nil
		case !sameBase(base, c.base()):
			return false
		}
	}
	if len(got) > len(t.Chains) {
		f.likeness = sameShape
	}
	if len(f.quotas) != len(t.Quotas) {
		f.likeness = sameShape
	}
	for _, q := range t.Quotas {
		if f.quotas[q.Name].Bytes != q.Bytes {
			f.likeness = sameShape
		}
	}
	return true
}

// readChains returns the chains that exist, by name. A chain that is no base chain has an empty
// base.
func readChains(conn *Conn, t Table) (map[string]Base, error) {
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	got := map[string]Base{}
	for _, c := range all {
		if c.Table.Name != t.Name {
			continue
		}
		got[c.Name] = Base{}
		if c.Hooknum != nil && c.Priority != nil && c.Policy != nil {
			got[c.Name] = Base{Type: c.Type, Hook: c.Hooknum, Priority: c.Priority, Policy: *c.Policy}
		}
	}
	return got, nil
}

func holdsChains(got map[string]Base, t Table) bool {
	for _, c := range t.Chains {
		if base, ok := got[c.Name]; !ok || !sameBase(base, c.base()) {
			return false
		}
	}
	return true
}

// base returns the chain's base. It is empty for a chain that is no base chain.
func (c Chain) base() Base {
	if c.Base == nil {
		return Base{}
	}
	return *c.Base
}

func sameBase(a, b Base) bool { return reflect.DeepEqual(a, b) }

func sameSets(conn *Conn, t Table) (bool, error) {
	if len(t.Sets) == 0 {
		return true, nil
	}
	got, err := conn.GetSets(t.handle())
	if err != nil || len(got) != len(t.Sets) {
		return false, err
	}
	for _, want := range t.Sets {
		i := slices.IndexFunc(got, func(s *nftables.Set) bool { return s.Name == want.Name })
		if i < 0 || got[i].Interval != want.Interval || got[i].IsMap != (want.Data != nil) ||
			got[i].Dynamic != want.Dynamic || got[i].Timeout != want.Timeout || got[i].Size != want.Size ||
			got[i].KeyType.GetNFTMagic() != want.Key.GetNFTMagic() ||
			want.Data != nil && got[i].DataType.GetNFTMagic() != want.Data.GetNFTMagic() {
			return false, nil
		}
	}
	return true, nil
}

func sameCounters(conn *Conn, t Table) (bool, error) {
	counts, err := readCounts(conn, t.Name)
	if err != nil || len(counts) != len(t.Counters) {
		return false, err
	}
	for _, name := range t.Counters {
		if _, ok := counts[name]; !ok {
			return false, nil
		}
	}
	return true, nil
}

// Diff returns the elements to add to a set and those to delete from it. An element whose data
// alone differs is in both: delete before adding.
func Diff(got, want []nftables.SetElement) (add, del []nftables.SetElement) {
	return Without(want, got), Without(got, want)
}

// Without returns the elements of all that are not among these.
func Without(all, these []nftables.SetElement) (out []nftables.SetElement) {
	among := make(map[string]bool, len(these))
	for _, e := range these {
		among[identity(e)] = true
	}
	for _, e := range all {
		if !among[identity(e)] {
			out = append(out, e)
		}
	}
	return out
}

func identity(e nftables.SetElement) string {
	return string(e.Key) + "|" + string(e.KeyEnd) + "|" + string(e.Val)
}
