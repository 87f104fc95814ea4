package ruleset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Over matches packets once more bytes than the quota have reached this rule: quota name "NAME".
// Every packet counts, including those that the rule refuses.
func Over(quota string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_QUOTA, Name: quota}}
}

func (q Quota) handle(table *nftables.Table, spent uint64) *nftables.NamedObj {
	return &nftables.NamedObj{Table: table, Name: q.Name, Type: nftables.ObjTypeQuota, Obj: &expr.Quota{Bytes: q.Bytes, Consumed: spent, Over: true}}
}

// addQuotas puts messages into the batch that make the missing quotas.
func addQuotas(conn *Conn, t Table, there map[string]Quota) error {
	var counts map[string]Counter
	for _, q := range t.Quotas {
		if there[q.Name].Bytes == q.Bytes {
			continue
		}
		if counts == nil && len(q.Counted) > 0 {
			var err error
			if counts, err = Counts(conn, t.Name); err != nil {
				return err
			}
		}
		conn.AddObj(q.handle(t.handle(), q.spent(counts)))
	}
	return nil
}

// spent returns what a new quota begins with, at most all of it: the kernel accepts no more.
func (q Quota) spent(counts map[string]Counter) uint64 {
	var sum uint64
	for _, c := range q.Counted {
		sum += counts[c].Bytes
	}
	return min(sum, q.Bytes)
}

// An Expense is the spent part of a quota.
type Expense struct {
	Spent uint64 // at most Bytes, even if more was asked for
	Bytes uint64
}

// Spent reads the quotas of a table whose names begin with the prefix, by name. If the table is
// known to have none, that costs a look at the generation.
func Spent(conn *Conn, table, prefix string) (map[string]Expense, error) {
	spent, err := Read(conn, func(at Generation) (map[string]Expense, error) {
		named := func(q Quota) bool { return strings.HasPrefix(q.Name, prefix) }
		if known, ok := recall(at, table); ok && !slices.ContainsFunc(known.whole().Quotas, named) {
			return nil, nil
		}
		all, err := readSpent(conn, table)
		maps.DeleteFunc(all, func(name string, _ Expense) bool { return !strings.HasPrefix(name, prefix) })
		return all, err
	})
	if err != nil {
		return nil, fmt.Errorf("read quotas of table %q: %w", table, err)
	}
	return spent, nil
}

func readSpent(conn *Conn, table string) (map[string]Expense, error) {
	objs, err := conn.GetNamedObjects(&nftables.Table{Name: table, Family: nftables.TableFamilyINet})
	if err != nil {
		return nil, err
	}
	return spentOf(objs), nil
}

// spentOf returns the quotas among the objects of a table.
func spentOf(objs []nftables.Obj) map[string]Expense {
	out := map[string]Expense{}
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok && n.Type == unix.NFT_OBJECT_QUOTA {
			q := n.Obj.(*expr.Quota)
			out[n.Name] = Expense{Spent: q.Consumed, Bytes: q.Bytes}
			if !q.Over {
				out[n.Name] = Expense{} // not ours: it matches below the quota. It counts as none.
			}
		}
	}
	return out
}
