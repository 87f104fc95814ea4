package ruleset

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// A likeness says how much of a table the kernel holds already.
type likeness int

const (
	absent    likeness = iota
	different          // there, with other chains, sets or counters
	sameShape          // the same but for rules or elements
	same
)

// A finding is what comparing found; rules and elements are read only where the shape is the same.
type finding struct {
	likeness
	rules    map[string][]*nftables.Rule // by chain
	elements map[string][]nftables.SetElement
}

// Matches reports whether the kernel holds exactly this table. The elements of open sets are not looked at.
func Matches(conn *Conn, t Table) (bool, error) {
	f, _, err := compare(conn, t)
	return f.likeness == same, err
}

// SameShape reports whether the kernel has the table with the wanted chains, hooks and policies, whatever their rules.
func SameShape(conn *Conn, t Table) (bool, error) {
	at, err := conn.Generation()
	if err != nil {
		return false, err
	}
	if known, ok := recall(at, t.Name); ok {
		return reflect.DeepEqual(known.shape(), t.shape()), nil
	}
	if ok, err := Exists(conn, t.Name); err != nil || !ok {
		return false, err
	}
	return sameChains(conn, t)
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

// compare reads the table at a generation, or recalls it.
func compare(conn *Conn, t Table) (f finding, at Generation, err error) {
	if at, err = conn.Generation(); err != nil {
		return f, at, err
	}
	if known, ok := recall(at, t.Name); ok {
		f, err = compareKnown(conn, known, t)
		return f, at, err
	}
	if f, err = compareAll(conn, t); err == nil && f.likeness == same {
		remember(at, t)
	}
	return f, at, err
}

func compareAll(conn *Conn, t Table) (finding, error) {
	if ok, err := Exists(conn, t.Name); err != nil || !ok {
		return finding{likeness: absent}, err
	}
	for _, shape := range []func(*Conn, Table) (bool, error){sameChains, sameSets, sameCounters} {
		if ok, err := shape(conn, t); err != nil || !ok {
			return finding{likeness: different}, err
		}
	}
	f := finding{likeness: same, rules: map[string][]*nftables.Rule{}, elements: map[string][]nftables.SetElement{}}
	for _, c := range t.Chains {
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

func sameChains(conn *Conn, t Table) (bool, error) {
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	got := map[string]*nftables.Chain{}
	for _, c := range all {
		if c.Table.Name == t.Name {
			got[c.Name] = c
		}
	}
	if len(got) != len(t.Chains) {
		return false, nil
	}
	for _, want := range t.Chains {
		c := got[want.Name]
		if c == nil || (c.Hooknum != nil) != (want.Base != nil) {
			return false, nil
		}
		if b := want.Base; b != nil && (*c.Hooknum != *b.Hook || *c.Priority != *b.Priority || c.Type != b.Type || c.Policy == nil || *c.Policy != b.Policy) {
			return false, nil
		}
	}
	return true, nil
}

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
	counts, err := Counts(conn, t.Name)
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

func sameRule(got *nftables.Rule, want Rule) bool {
	return bytes.Equal(got.UserData, want.userData()) && sameExprs(got.Exprs, want.Exprs)
}

func sameExprs(got, want []expr.Any) bool {
	want = slices.DeleteFunc(slices.Clone(want), func(e expr.Any) bool {
		_, unreadable := e.(*expr.Socket)
		return unreadable
	})
	if len(got) != len(want) {
		return false
	}
	for i := range want {
		w, err := canonical(want[i])
		if err != nil {
			return false
		}
		g, err := canonical(got[i])
		if err != nil || !bytes.Equal(g, w) {
			return false
		}
	}
	return true
}

// canonical is an expression without what the kernel adds to it.
func canonical(e expr.Any) ([]byte, error) {
	switch x := e.(type) {
	case *expr.Lookup:
		c := *x
		c.SetID = 0
		e = &c
	case *expr.Dynset:
		c := *x
		c.SetID = 0
		e = &c
	case *expr.NAT:
		c := *x
		c.RegAddrMax, c.RegProtoMax = max(c.RegAddrMax, c.RegAddrMin), max(c.RegProtoMax, c.RegProtoMin)
		e = &c
	}
	return expr.Marshal(byte(nftables.TableFamilyINet), e)
}

// Diff returns what is to be added to the elements of a set and what to be deleted from them. An element of which only the
// data differs is in both; delete before adding.
func Diff(got, want []nftables.SetElement) (add, del []nftables.SetElement) {
	return Without(want, got), Without(got, want)
}

// Without returns the elements that are not among these.
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
