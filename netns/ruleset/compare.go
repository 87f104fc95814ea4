package ruleset

import (
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
)

// A likeness is how much of a table the kernel holds already.
type likeness int

const (
	absent    likeness = iota
	different          // there, with a set of another kind, a chain hooked elsewhere, or dormant
	sameShape          // what has the same name is of the same kind
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
	sets     map[string]bool // those that exist: whether one is of the wanted kind
	counters map[string]bool // those that exist
}

func newFinding() finding {
	return finding{likeness: same, rules: map[string][]*nftables.Rule{}, elements: map[string][]nftables.SetElement{},
		chains: map[string]bool{}, quotas: map[string]Quota{}, sets: map[string]bool{}, counters: map[string]bool{}}
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
			return known.outlines(t), nil
		}
		if there, dormant, err := lookFor(conn, t.Name); err != nil || !there || dormant {
			return false, err
		}
		got, err := readChains(conn, t)
		return holdsChains(got, t), err
	})
}

// Exists reports whether there is a table of that name.
func Exists(conn *Conn, name string) (bool, error) {
	there, _, err := lookFor(conn, name)
	return there, err
}

// lookFor looks for a table of that name. A dormant one has everything that it had, and is not in
// force: its chains are not hooked.
func lookFor(conn *Conn, name string) (there, dormant bool, err error) {
	switch table, err := conn.ListTableOfFamily(name, nftables.TableFamilyINet); {
	case err == nil:
		flags := binary.NativeEndian.AppendUint32(nil, table.Flags) // the library takes them for the host's byte order (v0.3.0)
		return true, binary.BigEndian.Uint32(flags)&unix.NFT_TABLE_F_DORMANT != 0, nil
	case errors.Is(err, os.ErrNotExist):
		return false, false, nil
	default:
		return false, false, err
	}
}

// HasSet reports whether a table has a set of that name.
func HasSet(conn *Conn, table, set string) (bool, error) {
	return Read(conn, func(at Generation) (bool, error) {
		if known, ok := recall(at, table); ok {
			return slices.ContainsFunc(known.whole().Sets, func(s Set) bool { return s.Name == set }), nil
		}
		if ok, err := Exists(conn, table); err != nil || !ok {
			return false, err
		}
		got, err := conn.GetSets(&nftables.Table{Name: table, Family: nftables.TableFamilyINet})
		return slices.ContainsFunc(got, func(s *nftables.Set) bool { return s.Name == set }), err
	})
}

// compare reads the table at a generation, or recalls it. A table that looks as wanted is as
// wanted: changes of other tables don't count. One that looks different is read again: the kernel
// gives the tables their new generation before it takes what is deleted out of its lists, and a
// list that is read in between may lack entries without a sign of it.
func compare(conn *Conn, t Table) (f finding, at Generation, err error) {
	f, err = netns.Dump(func() (f finding, err error) {
		if at, err = conn.Generation(); err != nil {
			return f, err
		}
		if known, ok := recall(at, t.Name); ok {
			f, err = compareKnown(conn, known, t)
		} else {
			for look := 0; look < 2 && err == nil && f.likeness != same; look++ {
				f, err = compareAll(conn, t)
			}
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
	there, dormant, err := lookFor(conn, t.Name)
	if err != nil || !there {
		return finding{likeness: absent}, err
	}
	f := newFinding()
	got, err := readChains(conn, t)
	if err != nil {
		return f, err
	}
	if err := f.readSets(conn, t); err != nil {
		return f, err
	}
	objects, err := conn.GetNamedObjects(t.handle())
	if err != nil {
		return f, err
	}
	for name := range countsOf(objects) {
		f.counters[name] = true
	}
	for name, s := range spentOf(objects) {
		f.quotas[name] = Quota{Name: name, Bytes: s.Bytes}
	}
	if !f.compareShape(got, t) || dormant {
		f.likeness = different
		return f, nil
	}
	rules, err := readRules(conn, t.handle())
	if err != nil {
		return f, err
	}
	for _, c := range t.Chains {
		if !f.chains[c.Name] {
			continue
		}
		f.rules[c.Name] = rules[c.Name]
		if !slices.EqualFunc(rules[c.Name], c.Rules, sameRule) {
			f.likeness = sameShape
		}
	}
	for _, s := range t.Sets {
		if s.Open || !f.sets[s.Name] {
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

// compareShape compares chains, sets, counters and quotas, which can be added and deleted one by
// one. It returns false if a chain has another hook than wanted, or a set is of another kind: the
// kernel can change neither.
func (f *finding) compareShape(got map[string]Base, t Table) bool {
	if len(f.sets) != len(t.Sets) || len(f.counters) != len(t.Counters) {
		f.likeness = sameShape
	}
	for _, s := range t.Sets {
		switch asWanted, there := f.sets[s.Name]; {
		case !there:
			f.likeness = sameShape
		case !asWanted:
			return false
		}
	}
	for _, name := range t.Counters {
		if !f.counters[name] {
			f.likeness = sameShape
		}
	}
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

// readSets finds the sets that exist. Anonymous sets belong to one rule and go with it.
func (f *finding) readSets(conn *Conn, t Table) error {
	got, err := conn.GetSets(t.handle())
	if err != nil {
		return err
	}
	for _, s := range got {
		if s.Anonymous {
			continue
		}
		i := slices.IndexFunc(t.Sets, func(want Set) bool { return want.Name == s.Name })
		f.sets[s.Name] = i >= 0 && t.Sets[i].sameKind(s)
	}
	return nil
}

func (s Set) sameKind(got *nftables.Set) bool {
	return got.Interval == s.Interval && got.IsMap == (s.Data != nil) &&
		got.Dynamic == s.Dynamic && got.Timeout == s.Timeout && s.sameSize(got.Size) &&
		got.KeyType.GetNFTMagic() == s.Key.GetNFTMagic() &&
		(s.Data == nil || got.DataType.GetNFTMagic() == s.Data.GetNFTMagic())
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
