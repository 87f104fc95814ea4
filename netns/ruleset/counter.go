package ruleset

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Counter holds what a counter of the kernel counted.
type Counter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Counts reads the named counters of a table. An absent table is os.ErrNotExist.
func Counts(conn *Conn, table string) (map[string]Counter, error) {
	counts, err := Read(conn, func(Generation) (map[string]Counter, error) {
		if ok, err := Exists(conn, table); err != nil || !ok {
			return nil, cmp.Or(err, os.ErrNotExist)
		}
		return readCounts(conn, table)
	})
	if err != nil {
		return nil, fmt.Errorf("read counters of table %q: %w", table, err)
	}
	return counts, nil
}

func readCounts(conn *Conn, table string) (map[string]Counter, error) {
	objs, err := conn.GetNamedObjects(&nftables.Table{Name: table, Family: nftables.TableFamilyINet})
	if err != nil {
		return nil, err
	}
	return countsOf(objs), nil
}

// countsOf returns the counters among the objects of a table.
func countsOf(objs []nftables.Obj) map[string]Counter {
	counts := make(map[string]Counter, len(objs))
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok && n.Type == unix.NFT_OBJECT_COUNTER {
			c := n.Obj.(*expr.Counter)
			counts[n.Name] = Counter{Packets: c.Packets, Bytes: c.Bytes}
		}
	}
	return counts
}

// A CountedElement is an element of a dynamic set with its counter.
type CountedElement struct {
	Key []byte
	Counter
	Expires time.Duration // until it is removed, if no packet updates it; 0: never
}

// CountedElements reads the elements of a dynamic set that rules fill by [Update]. An absent table
// is os.ErrNotExist. Packets go on filling the set meanwhile: the kernel may leave out an element
// that is new.
func CountedElements(conn *Conn, table string, s Set) ([]CountedElement, error) {
	elements, err := Read(conn, func(at Generation) ([]nftables.SetElement, error) {
		if _, known := recall(at, table); !known { // otherwise the table is there
			if ok, err := Exists(conn, table); err != nil || !ok {
				return nil, cmp.Or(err, os.ErrNotExist)
			}
		}
		return conn.GetSetElements(s.Handle(table))
	})
	if err != nil {
		return nil, fmt.Errorf("read set %q of table %q: %w", s.Name, table, err)
	}
	out := make([]CountedElement, 0, len(elements))
	seen := make(map[string]bool, len(elements))
	for _, e := range elements {
		// The kernel moves a set that grows. If that happens while it is read, an element may
		// appear twice.
		if e.Counter == nil || seen[string(e.Key)] {
			continue
		}
		seen[string(e.Key)] = true
		out = append(out, CountedElement{Key: e.Key, Counter: Counter{Packets: e.Counter.Packets, Bytes: e.Counter.Bytes}, Expires: e.Expires})
	}
	return out, nil
}
