package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Generation is the state of all tables of one namespace. The kernel increments it with every
// batch of any process. While it is the same, so is every table.
type Generation struct {
	namespace uint64 // the kernel's cookie for it, never used twice
	number    uint32
}

// Follows reports whether exactly one batch lies between before and g.
func (g Generation) Follows(before Generation) bool {
	return g.namespace == before.namespace && g.number == before.number+1
}

// Generation reads the current generation.
func (c *Conn) Generation() (Generation, error) {
	replies, err := c.raw.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4), // struct nfgenmsg: no family, version 0
	})
	if err != nil {
		return Generation{}, fmt.Errorf("read generation of tables: %w", err)
	}
	for _, r := range replies {
		if number, ok := parseGeneration(r.Data); ok {
			return Generation{namespace: c.namespace, number: number}, nil
		}
	}
	return Generation{}, errNoGeneration
}

var errNoGeneration = errors.New("read generation of tables: the kernel's answer has none")

// parseGeneration returns the number in the body of a message.
func parseGeneration(body []byte) (number uint32, ok bool) {
	attrs, err := netlink.NewAttributeDecoder(body[min(4, len(body)):])
	if err != nil {
		return 0, false
	}
	attrs.ByteOrder = binary.BigEndian
	for attrs.Next() {
		if attrs.Type() == unix.NFTA_GEN_ID {
			return attrs.Uint32(), true
		}
	}
	return 0, false
}

// memory holds tables as they were last read or written, by the kernel's cookie for their
// namespace. Reading one back takes two dozen requests, reading the generation one.
//
// No event reports that a namespace is gone. Who removes one calls [Forget], and the namespaces
// whose tables were not asked for in a long time are forgotten as well.
var memory = tables{spaces: map[uint64]*space{}}

type tables struct {
	sync.Mutex
	spaces  map[uint64]*space
	sweepAt int // so many spaces make sweep look for those that are gone
}

// A space has what is known of the tables of one namespace.
type space struct {
	known []known
	asked time.Time // when one of them was last asked for
}

// A known is a table as it was at a generation.
type known struct {
	name    string
	at      uint32 // the number of the generation
	outline string // see [Table.outline]
	from    Source // what made it; nil if that is not known
	table   *Table // nil if from is not
}

// whole returns the table.
func (k known) whole() Table {
	if k.from != nil {
		return k.from.Table()
	}
	return *k.table
}

// madeFrom reports whether the table is known to be the one that a source makes.
func (k known) madeFrom(s Source) bool {
	return k.from != nil && s != nil && reflect.DeepEqual(k.from, s)
}

const (
	// unasked is after how long the tables of a namespace are forgotten. Those of a group are asked
	// for every few minutes.
	unasked = 2 * time.Hour
	// fewSpaces are kept however long nothing asked for them.
	fewSpaces = 64
)

func remember(at Generation, t Table) { memory.remember(at, t, time.Now()) }

func (m *tables) remember(at Generation, t Table, now time.Time) {
	k := known{name: t.Name, at: at.number, outline: unique.Make(t.outline()).Value(), from: t.From}
	if k.from == nil {
		k.table = &t
	}
	m.Lock()
	defer m.Unlock()
	s := m.spaces[at.namespace]
	if s == nil {
		m.sweep(now)
		s = &space{}
		m.spaces[at.namespace] = s
	}
	s.asked = now
	if i := s.find(t.Name); i >= 0 {
		s.known[i] = k
		return
	}
	s.known = append(s.known, k)
}

// sweep forgets what was not asked for in a long time, each time that the spaces have doubled.
func (m *tables) sweep(now time.Time) {
	if len(m.spaces) < max(m.sweepAt, fewSpaces) {
		return
	}
	maps.DeleteFunc(m.spaces, func(_ uint64, s *space) bool { return now.Sub(s.asked) >= unasked })
	m.sweepAt = 2 * len(m.spaces)
}

// find returns the place of a table. It is -1 if the table is not known.
func (s *space) find(name string) int {
	return slices.IndexFunc(s.known, func(k known) bool { return k.name == name })
}

// carry moves what is known to the generation after a batch of ours. The batch's own table has
// changed: a caller that changed more than the elements of its open sets remembers it again, or
// forgets it.
func carry(before, after Generation) { memory.carry(before, after) }

func (m *tables) carry(before, after Generation) {
	m.Lock()
	defer m.Unlock()
	s := m.spaces[before.namespace]
	if s == nil {
		return
	}
	for i := range s.known {
		if s.known[i].at == before.number {
			s.known[i].at = after.number
		}
	}
}

func forget(namespace uint64, table string) { memory.forget(namespace, table) }

func (m *tables) forget(namespace uint64, table string) {
	m.Lock()
	defer m.Unlock()
	s := m.spaces[namespace]
	if s == nil {
		return
	}
	if i := s.find(table); i >= 0 {
		s.known = slices.Delete(s.known, i, i+1)
	}
	if len(s.known) == 0 {
		delete(m.spaces, namespace)
	}
}

// Forget frees what is known of the tables of a namespace. It is for one that is about to be
// removed. If the namespace is used again, its tables are read again.
func Forget(ns int) error {
	conn, err := Open(ns)
	if err != nil {
		return err
	}
	defer conn.Close()
	memory.Lock()
	defer memory.Unlock()
	delete(memory.spaces, conn.namespace)
	return nil
}

func recall(at Generation, name string) (known, bool) { return memory.recall(at, name, time.Now()) }

func (m *tables) recall(at Generation, name string, now time.Time) (known, bool) {
	m.Lock()
	defer m.Unlock()
	s := m.spaces[at.namespace]
	if s == nil {
		return known{}, false
	}
	s.asked = now
	i := s.find(name)
	if i < 0 || s.known[i].at != at.number {
		return known{}, false
	}
	return s.known[i], true
}

// outline returns a line for each chain, with its name and base. Tables whose chains are hooked
// alike have the same lines.
func (t Table) outline() string {
	lines := []byte{'\n'}
	for _, c := range t.Chains {
		lines = c.appendLine(lines)
	}
	return string(lines)
}

func (c Chain) appendLine(lines []byte) []byte {
	lines = append(lines, c.Name...)
	if b := c.Base; b != nil {
		lines = fmt.Appendf(lines, " %s hook %d priority %d policy %d", b.Type, *b.Hook, *b.Priority, b.Policy)
	}
	return append(lines, '\n')
}

// outlines reports whether the known table has all chains of another, with their bases.
func (k known) outlines(t Table) bool {
	for _, c := range t.Chains {
		if !strings.Contains(k.outline, string(c.appendLine([]byte{'\n'}))) {
			return false
		}
	}
	return true
}

// compareKnown compares with the table that the kernel is known to hold. It reads only chains that
// differ, for their handles.
func compareKnown(conn *Conn, k known, t Table) (finding, error) {
	f, differ := k.compare(t)
	for _, chain := range differ {
		rules, err := conn.GetRules(t.handle(), &nftables.Chain{Name: chain})
		if err != nil {
			return f, err
		}
		f.rules[chain] = rules
	}
	return f, nil
}

// compare is [compareKnown] without the rules of chains that differ. It returns their names. Of a
// table that is the same it finds nothing else.
func (k known) compare(t Table) (f finding, differ []string) {
	if k.madeFrom(t.From) || k.table != nil && sharesMemory(*k.table, t) {
		return finding{likeness: same}, nil
	}
	return findKnown(k.whole(), t)
}

// sharesMemory reports whether two tables are one value.
func sharesMemory(a, b Table) bool {
	return a.Name == b.Name && sharesSlice(a.Counters, b.Counters) && sharesSlice(a.Quotas, b.Quotas) && sharesSlice(a.Sets, b.Sets) && sharesSlice(a.Chains, b.Chains)
}

func sharesSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// findKnown compares a table with another one.
func findKnown(known, t Table) (f finding, differ []string) {
	f = newFinding()
	elements := map[string][]nftables.SetElement{}
	for _, s := range known.Sets {
		i := slices.IndexFunc(t.Sets, func(want Set) bool { return want.Name == s.Name })
		f.sets[s.Name] = i >= 0 && reflect.DeepEqual(s.kind(), t.Sets[i].kind())
		elements[s.Name] = s.Elements
	}
	for _, name := range known.Counters {
		f.counters[name] = true
	}
	for _, q := range known.Quotas {
		f.quotas[q.Name] = q
	}
	if !f.compareShape(known.chains(), t) {
		f.likeness = different
		return f, nil
	}
	rules := map[string][]Rule{}
	for _, c := range known.Chains {
		rules[c.Name] = c.Rules
	}
	for _, c := range t.Chains {
		if f.chains[c.Name] && !reflect.DeepEqual(rules[c.Name], c.Rules) {
			f.likeness, differ = sameShape, append(differ, c.Name)
		}
	}
	for _, s := range t.Sets {
		f.elements[s.Name] = elements[s.Name]
		if add, del := Diff(elements[s.Name], s.Elements); len(add)+len(del) > 0 && !s.Open {
			f.likeness = sameShape
		}
	}
	return f, differ
}

// kind returns the set without its elements: what can't be changed.
func (s Set) kind() Set {
	s.Elements = nil
	return s
}

// chains returns the bases of all chains; see [readChains].
func (t Table) chains() map[string]Base {
	out := map[string]Base{}
	for _, c := range t.Chains {
		out[c.Name] = c.base()
	}
	return out
}
