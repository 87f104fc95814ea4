package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

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

// memory holds tables as they were last read or written. Reading one back takes two dozen requests,
// reading the generation one.
var memory = struct {
	sync.Mutex
	tables map[place]seen
}{tables: map[place]seen{}}

type place struct {
	namespace uint64
	table     string
}

type seen struct {
	at    Generation
	table Table
}

// mostSeen bounds the memory, which is cleared when it is full: there is no event for a namespace
// that is gone.
const mostSeen = 1024

func remember(at Generation, t Table) {
	memory.Lock()
	defer memory.Unlock()
	if len(memory.tables) >= mostSeen {
		clear(memory.tables)
	}
	memory.tables[place{at.namespace, t.Name}] = seen{at, t}
}

// carry moves what is known to the generation after a batch of ours. The batch's own table has
// changed: a caller that changed more than the elements of its open sets remembers it again, or
// forgets it.
func carry(before, after Generation) {
	memory.Lock()
	defer memory.Unlock()
	for p, s := range memory.tables {
		if s.at == before {
			s.at = after
			memory.tables[p] = s
		}
	}
}

func forget(namespace uint64, table string) {
	memory.Lock()
	defer memory.Unlock()
	delete(memory.tables, place{namespace, table})
}

func recall(at Generation, name string) (Table, bool) {
	memory.Lock()
	defer memory.Unlock()
	s, ok := memory.tables[place{at.namespace, name}]
	return s.table, ok && s.at == at
}

// compareKnown compares with the table that the kernel is known to hold. It reads only chains that
// differ, for their handles.
func compareKnown(conn *Conn, known, t Table) (finding, error) {
	f, differ := findKnown(known, t)
	for _, chain := range differ {
		rules, err := conn.GetRules(t.handle(), &nftables.Chain{Name: chain})
		if err != nil {
			return f, err
		}
		f.rules[chain] = rules
	}
	return f, nil
}

// findKnown is [compareKnown] without the rules of chains that differ. It returns their names.
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
