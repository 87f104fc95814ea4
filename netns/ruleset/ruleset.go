// Package ruleset handles one nftables table of the inet family as a value: say the whole table, and it is compared with what
// the kernel holds and replaced in one atomic batch where they differ.
//
// What bites: a table read back is compared rule by rule, but for the `socket` expressions, which the nftables library can't
// read; a rule that differs only in the level of its cgroup match counts as the same. The id beside it does not.
package ruleset

import (
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// A Table is everything one inet table holds.
type Table struct {
	Name     string   // required
	Counters []string // named counters, in the order they are made
	Quotas   []Quota
	Sets     []Set
	Chains   []Chain // a chain that another jumps to stands before it or after it
}

// A Quota is a named bound on bytes, which [Over] asks.
//
// What it has counted can't be put right afterwards: packets that it refuses count as well. So a bound of another size is another
// quota, under another name, that begins with what the counters say.
type Quota struct {
	Name  string // required
	Bytes uint64 // required: at most math.MaxInt64
	// Counted are the counters of what has been spent when the quota is made.
	Counted []string
}

// A Set is a named set, or a map where Data is set.
type Set struct {
	Name     string               // required
	Key      nftables.SetDatatype // required: made by nftables.ConcatSetType for several fields
	Concat   bool                 // the key has several fields
	Interval bool                 // elements are ranges: KeyEnd is set on each
	Data     *nftables.SetDatatype
	// Elements are what the set holds, no more and no less. Ignored where Open is set.
	Elements []nftables.SetElement
	// Open says that the elements come and go without the table: [Apply] leaves them alone as long as the table's shape stays.
	Open bool
	// Dynamic says that rules fill it; see [NewDynamicSet].
	Dynamic bool
	Timeout time.Duration // how long an element stays that no packet touches; 0: for good
	Size    uint32        // the most elements it takes; 0: no bound
}

// A Chain is a base chain where Base is set, else one that rules jump to.
type Chain struct {
	Name  string // required
	Base  *Base
	Rules []Rule
}

// A Base says where a chain hooks into the path of packets.
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

// NewRule joins parts, each made by one of this package's functions, into a rule.
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

// NewDynamicSet returns a set that rules fill by [Update]. When it holds size elements it takes no more, until one has not been
// touched for as long as timeout; a packet that would be one more does not match the rule.
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

// Handle is the set as the nftables library knows it, for adding and deleting elements.
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
		h.KeyByteOrder = binaryutil.NativeEndian // or the nft command prints the names as empty ones
	}
	if s.Data != nil {
		h.IsMap, h.DataType = true, *s.Data
	}
	return h
}
