package ruleset

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Destinations are two sets, one of each family, that rules fill with the destinations of packets.
// Each key begins with where the packet came from: a cgroup or a link. The port is 0 for a protocol
// without ports.
type Destinations struct {
	Set4, Set6 string               // required: the sets' names
	Ported     string               // required: name of the set of protocols that have ports
	From       nftables.SetDatatype // required: the first field of keys
	Size       uint32               // of each set; see [NewDynamicSet]
	Timeout    time.Duration
}

// Sets returns all sets that the rules name.
func (d Destinations) Sets() []Set {
	ported := NewSet(d.Ported, nftables.TypeInetProto)
	for _, proto := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP} {
		ported.Elements = append(ported.Elements, nftables.SetElement{Key: []byte{proto}})
	}
	return append([]Set{ported}, d.Filled()...)
}

// Filled returns the sets that rules fill.
func (d Destinations) Filled() []Set {
	set := func(name string, address nftables.SetDatatype) Set {
		return NewDynamicSet(name, d.Size, d.Timeout, d.From, nftables.TypeInetProto, address, nftables.TypeInetService)
	}
	return []Set{set(d.Set4, nftables.TypeIPAddr), set(d.Set6, nftables.TypeIP6Addr)}
}

// Rules returns rules that add a packet's destination to the sets. They have no verdict.
func (d Destinations) Rules(from Field) []Rule {
	rules := func(family byte, set string, address Field) []Rule {
		return []Rule{
			NewRule("", In(d.Ported, FieldL4Proto), Family(family), Update(set, from, FieldL4Proto, address, FieldDPort)),
			NewRule("", NotIn(d.Ported, FieldL4Proto), Family(family), Update(set, from, FieldL4Proto, address, FieldNoPort)),
		}
	}
	return append(rules(unix.NFPROTO_IPV4, d.Set4, FieldDest4), rules(unix.NFPROTO_IPV6, d.Set6, FieldDest6)...)
}

// Parse splits a key into its fields: from, protocol, address and port, each padded to four bytes.
func (d Destinations) Parse(key []byte) (from []byte, protocol byte, to netip.AddrPort) {
	from, key = key[:d.From.Bytes], key[d.From.Bytes:]
	address, port := key[4:len(key)-4], key[len(key)-4:]
	addr, _ := netip.AddrFromSlice(address)
	return from, key[0], netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port))
}
