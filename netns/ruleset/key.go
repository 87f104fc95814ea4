package ruleset

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A Field is one part of a key that [In], [NotIn] or [DestinationNAT] looks up.
type Field struct {
	size uint32 // its length in the key, padded to registers
	load func(reg uint32) expr.Any
}

func metaField(size uint32, key expr.MetaKey) Field {
	return Field{size, func(reg uint32) expr.Any { return &expr.Meta{Key: key, Register: reg} }}
}

func payloadField(base expr.PayloadBase, offset, n uint32) Field {
	return Field{(n + 3) / 4 * 4, func(reg uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: base, Offset: offset, Len: n}
	}}
}

// The fields of keys. Earlier in the rule or the key, addresses need a [Family], and ports a
// protocol with ports.
var (
	FieldIIFName = metaField(16, expr.MetaKeyIIFNAME)
	FieldOIFName = metaField(16, expr.MetaKeyOIFNAME)
	FieldL4Proto = metaField(4, expr.MetaKeyL4PROTO)
	FieldSource4 = payloadField(expr.PayloadBaseNetworkHeader, 12, 4)
	FieldDest4   = payloadField(expr.PayloadBaseNetworkHeader, 16, 4)
	FieldSource6 = payloadField(expr.PayloadBaseNetworkHeader, 8, 16)
	FieldDest6   = payloadField(expr.PayloadBaseNetworkHeader, 24, 16)
	FieldSPort   = payloadField(expr.PayloadBaseTransportHeader, 0, 2)
	FieldDPort   = payloadField(expr.PayloadBaseTransportHeader, 2, 2)
)

// FieldCgroup is the ancestor, at a level, of the cgroup in which the packet's socket was created,
// or that cgroup itself. The rule does not match a packet without a socket, or with a socket
// created nearer to the root.
func FieldCgroup(level uint32) Field {
	return Field{8, func(reg uint32) expr.Any {
		return &expr.Socket{Key: expr.SocketKeyCgroupv2, Level: level, Register: reg}
	}}
}

// FieldNoPort is port 0: the port in the key of a packet that has none.
var FieldNoPort = Field{4, func(reg uint32) expr.Any { return &expr.Immediate{Register: reg, Data: Port(0)} }}

// In matches packets whose fields are a key of the set.
func In(set string, fields ...Field) []expr.Any {
	return append(load(fields), &expr.Lookup{SourceRegister: reg1, SetName: set})
}

// NotIn matches packets whose fields are not a key of the set.
func NotIn(set string, fields ...Field) []expr.Any {
	return append(load(fields), &expr.Lookup{SourceRegister: reg1, SetName: set, Invert: true})
}

// Update adds the fields to a dynamic set as a key, or restarts the timeout of an existing key, and
// adds the packet to its counter: update @set { fields counter }.
func Update(set string, fields ...Field) []expr.Any {
	return append(load(fields), &expr.Dynset{SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}}})
}

// Remember adds the fields to a dynamic set as a key, or restarts the timeout of an existing key:
// update @set { fields timeout T }. A timeout of 0 is the set's.
func Remember(set string, timeout time.Duration, fields ...Field) []expr.Any {
	return append(load(fields), &expr.Dynset{SrcRegKey: reg1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: timeout})
}

// DestinationNAT rewrites the destination to the address and port that the map has for the fields.
// Without such a key the rule does not match.
func DestinationNAT(family byte, mapName string, fields ...Field) []expr.Any {
	port := uint32(reg32 + 1)
	if family == unix.NFPROTO_IPV6 {
		port = unix.NFT_REG_2
	}
	return append(load(fields),
		&expr.Lookup{SourceRegister: reg1, SetName: mapName, IsDestRegSet: true, DestRegister: reg1},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: reg1, RegProtoMin: port, Specified: true})
}

// load puts the fields side by side into registers, beginning with the first.
func load(fields []Field) []expr.Any {
	var exprs []expr.Any
	var at uint32
	for _, f := range fields {
		exprs = append(exprs, f.load(register(at)))
		at += f.size
	}
	return exprs
}

// register returns the register that starts at a byte, as the kernel reads it back.
func register(at uint32) uint32 {
	if at%16 == 0 {
		return reg1 + at/16
	}
	return reg32 + at/4
}

// SourceIn matches packets from a prefix. It includes the [Family].
func SourceIn(p netip.Prefix) []expr.Any {
	return append(familyOf(p), sourceIs(expr.CmpOpEq, p)...)
}

// DestIn matches packets to a prefix. It includes the [Family].
func DestIn(p netip.Prefix) []expr.Any { return append(familyOf(p), destIs(expr.CmpOpEq, p)...) }

// NeitherIn matches packets with neither source nor destination in a prefix. It includes the
// [Family].
func NeitherIn(p netip.Prefix) []expr.Any {
	return append(append(familyOf(p), sourceIs(expr.CmpOpNeq, p)...), destIs(expr.CmpOpNeq, p)...)
}

func familyOf(p netip.Prefix) []expr.Any {
	if p.Addr().Is6() {
		return Family(unix.NFPROTO_IPV6)
	}
	return Family(unix.NFPROTO_IPV4)
}

func sourceIs(op expr.CmpOp, p netip.Prefix) []expr.Any { return addressIs(op, p, 12, 8) }
func destIs(op expr.CmpOp, p netip.Prefix) []expr.Any   { return addressIs(op, p, 16, 24) }

// addressIs compares the leading bytes of an address in the header. An earlier part of the rule
// must match the prefix's family.
func addressIs(op expr.CmpOp, p netip.Prefix, offset4, offset6 uint32) []expr.Any {
	p = p.Masked()
	offset := offset4
	if p.Addr().Is6() {
		offset = offset6
	}
	addr := p.Addr().AsSlice()
	if p.Bits()%8 != 0 {
		load := payload(expr.PayloadBaseNetworkHeader, offset, uint32(len(addr)))
		return []expr.Any{load, bits(maskOf(p)...), compareTo(op, addr...)}
	}
	whole := p.Bits() / 8
	return []expr.Any{payload(expr.PayloadBaseNetworkHeader, offset, uint32(whole)), compareTo(op, addr[:whole]...)}
}

func maskOf(p netip.Prefix) []byte {
	mask := make([]byte, len(p.Addr().AsSlice()))
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// Key joins the parts of a set element's key or data. Each part is padded to a register.
func Key(parts ...[]byte) []byte {
	var key []byte
	for _, p := range parts {
		key = append(key, p...)
		for len(key)%4 != 0 {
			key = append(key, 0)
		}
	}
	return key
}

// Port returns a port as keys hold it.
func Port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// LastOf returns the last address of a prefix.
func LastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i, m := range maskOf(p) {
		b[i] |= ^m
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
