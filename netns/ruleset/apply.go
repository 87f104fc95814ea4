package ruleset

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Open returns a connection to the tables of a network namespace, or of the calling thread's own where ns is 0. The caller
// closes it with CloseLasting.
func Open(ns int) (*nftables.Conn, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(ns), nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return conn, nil
}

// Apply makes the kernel's table the wanted one, in one batch that takes effect whole or not at all. A table that is the same
// already is left alone. Where only rules or elements differ, the chains, the counters and their counts stay.
func Apply(conn *nftables.Conn, t Table) (changed bool, err error) {
	found, err := compare(conn, t)
	if err != nil {
		return false, fmt.Errorf("read table %q: %w", t.Name, err)
	}
	if found == same {
		return false, nil
	}
	if err := write(conn, t, found); err != nil {
		return false, fmt.Errorf("write table %q: %w", t.Name, err)
	}
	return true, nil
}

// Delete removes a table with everything in it. An absent one is no error.
func Delete(conn *nftables.Conn, name string) error {
	conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyINet})
	if err := conn.Flush(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("delete table %q: %w", name, err)
	}
	return nil
}

// write sends the batch. It never leaves a moment without the deny: the kernel swaps the whole batch in at once.
func write(conn *nftables.Conn, t Table, found likeness) error {
	table := t.handle()
	if found == different {
		conn.DelTable(table)
	}
	conn.AddTable(table)
	if found == sameShape {
		conn.FlushTable(table)
	} else {
		for _, name := range t.Counters {
			conn.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		}
	}
	for _, s := range t.Sets {
		if err := writeSet(conn, t.Name, s, found); err != nil {
			return err
		}
	}
	chains := make([]*nftables.Chain, len(t.Chains))
	for i, c := range t.Chains {
		chains[i] = c.handle(table)
		if found != sameShape {
			conn.AddChain(chains[i])
		}
	}
	for i, c := range t.Chains {
		for _, r := range c.Rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chains[i], Exprs: r.Exprs, UserData: r.userData()})
		}
	}
	return conn.Flush()
}

// A netlink attribute holds 64 KiB at most; this many elements of the longest key stay far below it.
const elementsPerMessage = 256

func writeSet(conn *nftables.Conn, table string, s Set, found likeness) error {
	h := s.Handle(table)
	if found == sameShape {
		if s.Open {
			return nil
		}
		conn.FlushSet(h)
	} else if err := conn.AddSet(h, nil); err != nil {
		return fmt.Errorf("set %q: %w", s.Name, err)
	}
	if s.Open {
		return nil
	}
	return AddElements(conn, h, s.Elements)
}

// AddElements puts elements into the batch, in as many messages as they need.
func AddElements(conn *nftables.Conn, set *nftables.Set, elements []nftables.SetElement) error {
	for len(elements) > 0 {
		n := min(len(elements), elementsPerMessage)
		if err := conn.SetAddElements(set, elements[:n]); err != nil {
			return fmt.Errorf("set %q: %w", set.Name, err)
		}
		elements = elements[n:]
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

func (r Rule) userData() []byte {
	if r.Comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, r.Comment)
}

// A Tally is what a counter counted.
type Tally struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counts reads the named counters of a table. A table that is not there is os.ErrNotExist.
func Counts(conn *nftables.Conn, table string) (map[string]Tally, error) {
	switch ok, err := Exists(conn, table); {
	case err != nil:
		return nil, fmt.Errorf("read counters of table %q: %w", table, err)
	case !ok:
		return nil, fmt.Errorf("read counters of table %q: %w", table, os.ErrNotExist)
	}
	objs, err := conn.GetNamedObjects(&nftables.Table{Name: table, Family: nftables.TableFamilyINet})
	if err != nil {
		return nil, fmt.Errorf("read counters of table %q: %w", table, err)
	}
	counts := make(map[string]Tally, len(objs))
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok && n.Type == unix.NFT_OBJECT_COUNTER {
			c := n.Obj.(*expr.Counter)
			counts[n.Name] = Tally{Packets: c.Packets, Bytes: c.Bytes}
		}
	}
	return counts, nil
}
