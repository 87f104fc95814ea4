// Package ruleset handles one nftables table of the inet family as a value. The whole wanted table
// is compared with the kernel's table. If they differ, it is replaced in one atomic batch.
//
// Pitfall: a table read back is compared rule by rule, but without `socket` expressions, which
// the nftables library can't read. A rule that differs only in the level of its cgroup match counts
// as equal. A rule with another cgroup id does not.
package ruleset

import (
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// A Table is the whole content of one inet table.
type Table struct {
	Name     string   // required
	Counters []string // named counters, in the order they are made
	Quotas   []Quota
	Sets     []Set
	Chains   []Chain // in any order
	// From made the table. Optional: nil means that this is not known. The table is remembered by
	// it, which takes far less memory than the table.
	From Source
}

// A Source makes a table. Those that are deeply equal make the same table, but for the elements
// that its open sets begin with. A source and what it has are not changed.
type Source interface{ Table() Table }

// A Quota is a named bound on bytes. [Over] checks it.
//
// Its count can't be corrected later: refused packets count as well. So a bound of another size is
// another quota with another name, which begins with the values of the counters.
type Quota struct {
	Name  string // required
	Bytes uint64 // required: at most math.MaxInt64
	// Counted are the counters whose sum is spent when the quota is made.
	Counted []string
}

// A Set is a named set, or a map where Data is set.
type Set struct {
	Name     string               // required
	Key      nftables.SetDatatype // required: made by nftables.ConcatSetType for several fields
	Concat   bool                 // the key has several fields
	Interval bool                 // elements are ranges: KeyEnd is set on each
	Data     *nftables.SetDatatype
	// Elements are exactly the elements of the set. If Open is set, they are those that it begins
	// with.
	Elements []nftables.SetElement
	// Open means that elements change independently of the table: [Apply] leaves them alone.
	Open bool
	// Dynamic means that rules fill it; see [NewDynamicSet].
	Dynamic bool
	// Fleeting means that elements are not carried over to a table that is made anew: they hold
	// what the nftables library can't write.
	Fleeting bool
	Timeout  time.Duration // of an element that no packet updates; 0: none
	Size     uint32        // the most elements; 0: no bound, or [DynamicSize] if rules fill it
}

// DynamicSize is the most elements of a set that rules fill and that has no other size. The kernel
// shows it once a rule fills the set (nft_dynset_init), and allocates memory as the set grows. For
// a set with a size it allocates a table for all elements at once (nft_rhash_init): 2 MB for
// 65,535.
const DynamicSize = 0xffff

// sameSize reports whether the kernel's size is the wanted one.
func (s Set) sameSize(got uint32) bool {
	return got == s.Size || s.Dynamic && s.Size == 0 && got == DynamicSize
}

// A Chain is a base chain if Base is set. Otherwise rules jump to it.
type Chain struct {
	Name  string // required
	Base  *Base
	Rules []Rule
}

// A Base is the place of a chain in the path of packets.
type Base struct {
	Type     nftables.ChainType // required
	Hook     *nftables.ChainHook
	Priority *nftables.ChainPriority
	Policy   nftables.ChainPolicy // zero: drop
}

// A Rule is one line of a chain.
type Rule struct {
	Comment string // at most 127 bytes
	Exprs   []expr.Any
}

// NewRule joins parts into a rule. Functions of this package make the parts.
func NewRule(comment string, parts ...[]expr.Any) Rule {
	r := Rule{Comment: comment}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	return r
}

// NewSet returns a set of the given key fields.
func NewSet(name string, fields ...nftables.SetDatatype) Set {
	if len(fields) == 1 {
		return Set{Name: name, Key: fields[0]} // only the fields of a longer key are padded
	}
	return Set{Name: name, Key: nftables.MustConcatSetType(fields...), Concat: true}
}

// NewDynamicSet returns a set that rules fill by [Update] or [Remember]. It holds at most size
// elements; 0 means [DynamicSize]. An element that no packet updates for the timeout is removed.
// While the set is full, a packet that would add an element does not match the rule.
func NewDynamicSet(name string, size uint32, timeout time.Duration, fields ...nftables.SetDatatype) Set {
	s := NewSet(name, fields...)
	s.Open, s.Dynamic, s.Timeout, s.Size = true, true, timeout, size
	return s
}

// NewMap returns a map from the given key fields to the given data fields.
func NewMap(name string, key, data []nftables.SetDatatype) Set {
	s := NewSet(name, key...)
	d := nftables.MustConcatSetType(data...)
	s.Data = &d
	return s
}

func (t Table) handle() *nftables.Table {
	return &nftables.Table{Name: t.Name, Family: nftables.TableFamilyINet}
}

// Handle returns the set as the nftables library knows it, to add and delete elements.
func (s Set) Handle(table string) *nftables.Set {
	h := &nftables.Set{
		Table:         &nftables.Table{Name: table, Family: nftables.TableFamilyINet},
		Name:          s.Name,
		KeyType:       s.Key,
		Concatenation: s.Concat && s.Interval, // the flag asks for ranges in each field
		Interval:      s.Interval,
		Dynamic:       s.Dynamic,
		HasTimeout:    s.Timeout != 0,
		Timeout:       s.Timeout,
		Size:          s.Size,
	}
	if s.Key.Name == nftables.TypeIFName.Name {
		h.KeyByteOrder = binaryutil.NativeEndian // otherwise the nft command prints empty names
	}
	if s.Data != nil {
		h.IsMap, h.DataType = true, *s.Data
	}
	return h
}
