package ruleset

import (
	"bytes"
	"errors"
	"os"
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

// Matches reports whether the kernel holds exactly this table. The elements of open sets are not looked at.
func Matches(conn *nftables.Conn, t Table) (bool, error) {
	found, err := compare(conn, t)
	return found == same, err
}

// Exists reports whether there is a table of that name.
func Exists(conn *nftables.Conn, name string) (bool, error) {
	switch _, err := conn.ListTableOfFamily(name, nftables.TableFamilyINet); {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

func compare(conn *nftables.Conn, t Table) (likeness, error) {
	if ok, err := Exists(conn, t.Name); err != nil || !ok {
		return absent, err
	}
	for _, shape := range []func(*nftables.Conn, Table) (bool, error){sameChains, sameSets, sameCounters} {
		if ok, err := shape(conn, t); err != nil || !ok {
			return different, err
		}
	}
	for _, content := range []func(*nftables.Conn, Table) (bool, error){sameRules, sameElements} {
		if ok, err := content(conn, t); err != nil || !ok {
			return sameShape, err
		}
	}
	return same, nil
}

func sameChains(conn *nftables.Conn, t Table) (bool, error) {
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

func sameSets(conn *nftables.Conn, t Table) (bool, error) {
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
			got[i].KeyType.GetNFTMagic() != want.Key.GetNFTMagic() ||
			want.Data != nil && got[i].DataType.GetNFTMagic() != want.Data.GetNFTMagic() {
			return false, nil
		}
	}
	return true, nil
}

func sameCounters(conn *nftables.Conn, t Table) (bool, error) {
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

func sameRules(conn *nftables.Conn, t Table) (bool, error) {
	for _, c := range t.Chains {
		got, err := conn.GetRules(t.handle(), &nftables.Chain{Name: c.Name})
		if err != nil || len(got) != len(c.Rules) {
			return false, err
		}
		for i, want := range c.Rules {
			if !bytes.Equal(got[i].UserData, want.userData()) || !sameExprs(got[i].Exprs, want.Exprs) {
				return false, nil
			}
		}
	}
	return true, nil
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
	case *expr.NAT:
		c := *x
		c.RegAddrMax, c.RegProtoMax = max(c.RegAddrMax, c.RegAddrMin), max(c.RegProtoMax, c.RegProtoMin)
		e = &c
	}
	return expr.Marshal(byte(nftables.TableFamilyINet), e)
}

func sameElements(conn *nftables.Conn, t Table) (bool, error) {
	for _, s := range t.Sets {
		if s.Open {
			continue
		}
		got, err := conn.GetSetElements(s.Handle(t.Name))
		if err != nil {
			return false, err
		}
		if add, del := Diff(got, s.Elements); len(add)+len(del) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// Diff returns what is to be added to the elements of a set and what to be deleted from them. An element of which only the
// data differs is in both; delete before adding.
func Diff(got, want []nftables.SetElement) (add, del []nftables.SetElement) {
	return missing(want, got), missing(got, want)
}

func missing(from, in []nftables.SetElement) (out []nftables.SetElement) {
	have := make(map[string]bool, len(in))
	for _, e := range in {
		have[identity(e)] = true
	}
	for _, e := range from {
		if !have[identity(e)] {
			out = append(out, e)
		}
	}
	return out
}

func identity(e nftables.SetElement) string {
	return string(e.Key) + "|" + string(e.KeyEnd) + "|" + string(e.Val)
}

// SameShape reports whether the kernel has the table with the wanted chains, hooks and policies, whatever their
// rules.
func SameShape(conn *nftables.Conn, t Table) (bool, error) {
	if ok, err := Exists(conn, t.Name); err != nil || !ok {
		return false, err
	}
	return sameChains(conn, t)
}
