package ruleset

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Origins are sets that rules fill with the sources of packets that are dropped on their way in: by
// link, protocol and source, and for protocols with ports also by the port that the packet is for.
//
// Who sends packets chooses their sources. So each link has a bound on how fast sources enter:
// [newOrigins] at once, and [newOriginsAMinute] after that. A packet whose source does not enter is
// counted for its link alone. So a flood to one link takes few of the places of all.
type Origins struct {
	Name    string // required: the names of the sets begin with it
	Ported  string // required: name of the set of protocols that have ports
	Size    uint32 // of each set of sources; see [NewDynamicSet]
	Timeout time.Duration
}

const (
	newOrigins        = 64
	newOriginsAMinute = 6
)

// An Origin counts the packets to a link that came from one source for one port.
type Origin struct {
	// Source is invalid for the packets of all sources that have not entered. Then there is neither
	// a protocol nor a port.
	Source   netip.Addr
	Protocol byte   // unix.IPPROTO_TCP
	Port     uint16 // 0 for a protocol without ports
	Counter
	Expires time.Duration // until the kernel forgets it, if no packet follows
}

// An originFamily has the sets of one family.
type originFamily struct {
	number       byte
	ported, bare string // with a port in their keys, and without
	address      nftables.SetDatatype
	source       Field
}

func (o Origins) families() []originFamily {
	return []originFamily{
		{unix.NFPROTO_IPV4, o.Name + "4", o.Name + "_bare4", nftables.TypeIPAddr, FieldSource4},
		{unix.NFPROTO_IPV6, o.Name + "6", o.Name + "_bare6", nftables.TypeIP6Addr, FieldSource6},
	}
}

// others counts by link. fresh measures by link how fast sources enter.
func (o Origins) others() string { return o.Name + "_others" }
func (o Origins) fresh() string  { return o.Name + "_new" }

// Sets returns the sets that the rules fill.
func (o Origins) Sets() []Set {
	meter := NewDynamicSet(o.fresh(), 0, o.Timeout, nftables.TypeIFName)
	meter.Fleeting = true
	return append(o.Counted(), meter)
}

// Counted returns those of the sets whose elements have counters.
func (o Origins) Counted() (sets []Set) {
	for _, f := range o.families() {
		sets = append(sets,
			NewDynamicSet(f.ported, o.Size, o.Timeout, nftables.TypeIFName, nftables.TypeInetProto, f.address, nftables.TypeInetService),
			NewDynamicSet(f.bare, o.Size, o.Timeout, nftables.TypeIFName, nftables.TypeInetProto, f.address))
	}
	return append(sets, NewDynamicSet(o.others(), 0, o.Timeout, nftables.TypeIFName))
}

// EnterOrigin is the chain that counts a packet; see [Origins.Chains].
const (
	EnterOrigin  = "enter_in"
	enterOfOther = "enter_others"
)

// Chains returns the chain [EnterOrigin], and one that it goes to. They have no verdict but return.
//
// A rule that asks whether a source has entered must ask whether it has not: the kernel counts a
// packet for an element that it finds by a lookup (nft_lookup_eval), and once more for the update.
func (o Origins) Chains(link Field) []Chain {
	var rules []Rule
	for _, f := range o.families() {
		enter := func(ported []Expr, set string, key ...Field) {
			rules = append(rules,
				NewRule("", ported, Family(f.number), NotIn(set, key...), tooFast(o.fresh(), link), Goto(enterOfOther)),
				NewRule("", ported, Family(f.number), Update(set, key...), Return()))
		}
		enter(In(o.Ported, FieldL4Proto), f.ported, link, FieldL4Proto, f.source, FieldDPort)
		enter(NotIn(o.Ported, FieldL4Proto), f.bare, link, FieldL4Proto, f.source)
	}
	others := Update(o.others(), link)
	return []Chain{
		{Name: EnterOrigin, Rules: append(rules, NewRule("no place is left", others))},
		{Name: enterOfOther, Rules: []Rule{NewRule("", others)}},
	}
}

// tooFast matches the packets of a link that would bring more new sources than may enter: update
// @set { field limit rate over N/minute burst M packets }.
func tooFast(set string, by Field) []Expr {
	limit := &expr.Limit{Type: expr.LimitTypePkts, Rate: newOriginsAMinute, Unit: expr.LimitTimeMinute, Burst: newOrigins, Over: true}
	return append(load([]Field{by}), &expr.Dynset{SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []Expr{limit}})
}

// Read calls do with each element of a table. Without the table, or if it has no such sets, there
// is none. A set that can't be read keeps back no other.
func (o Origins) Read(conn *Conn, table string, do func(set Set, key []byte, found Origin)) (err error) {
	for _, s := range o.Counted() {
		elements, readErr := CountedElements(conn, table, s)
		if errors.Is(readErr, os.ErrNotExist) {
			return err
		}
		err = errors.Join(err, readErr)
		for _, e := range elements {
			do(s, e.Key, o.parse(s.Name, e))
		}
	}
	return err
}

// parse splits a key into its fields: link, protocol, address and port, each padded to four bytes.
func (o Origins) parse(set string, e CountedElement) Origin {
	found := Origin{Counter: e.Counter, Expires: e.Expires}
	if set == o.others() {
		return found
	}
	key := e.Key[nftables.TypeIFName.Bytes:]
	found.Protocol, key = key[0], key[4:]
	for _, f := range o.families() {
		if set == f.ported {
			found.Port = binary.BigEndian.Uint16(key[len(key)-4:])
			key = key[:len(key)-4]
		}
	}
	found.Source, _ = netip.AddrFromSlice(key)
	return found
}
