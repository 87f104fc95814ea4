package ruleset

import (
	"encoding/binary"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An Expr is one step of a rule.
type Expr = expr.Any

// Registers as the kernel reads them back: 1 to 4 hold 16 bytes, 8 to 23 hold 4 of the same bytes.
const (
	reg1  = unix.NFT_REG_1
	reg32 = unix.NFT_REG32_00
)

// payloadInner is NFT_PAYLOAD_INNER_HEADER: the payload behind the transport header. It needs Linux
// 5.16.
const payloadInner = 3

// InterfaceName pads a name to the 16 bytes of sets and comparisons.
func InterfaceName(name string) []byte {
	b := make([]byte, 16)
	copy(b[:15], name)
	return b
}

func compareTo(op expr.CmpOp, data ...byte) expr.Any {
	return &expr.Cmp{Op: op, Register: reg1, Data: data}
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: reg1} }

func payload(base expr.PayloadBase, offset, n uint32) expr.Any {
	return &expr.Payload{DestRegister: reg1, Base: base, Offset: offset, Len: n}
}

func bits(mask ...byte) expr.Any {
	return &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))}
}

// NotOIFName matches any other outgoing interface: oifname != "name".
func NotOIFName(name string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyOIFNAME), compareTo(expr.CmpOpNeq, InterfaceName(name)...)}
}

// OIFName matches the outgoing interface: oifname "name".
func OIFName(name string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyOIFNAME), compareTo(expr.CmpOpEq, InterfaceName(name)...)}
}

// IIFName matches the incoming interface: iifname "name".
func IIFName(name string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyIIFNAME), compareTo(expr.CmpOpEq, InterfaceName(name)...)}
}

// NotIIFPrefix matches any incoming interface whose name begins otherwise: iifname != "prefix*".
// For a prefix of at most four bytes it costs less than a look into a set.
func NotIIFPrefix(prefix string) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyIIFNAME), compareTo(expr.CmpOpNeq, []byte(prefix)...)}
}

// iifKind is NFT_META_IIFKIND (Linux 5.6), which no library names.
const iifKind expr.MetaKey = 26

// IIFKind matches packets that come by a virtual interface of a kind: meta iifkind "vrf". A
// physical interface has no kind.
func IIFKind(kind string) []expr.Any {
	return []expr.Any{meta(iifKind), compareTo(expr.CmpOpEq, InterfaceName(kind)...)}
}

// loopback is the index of lo in every network namespace.
const loopback = 1

// ToLoopback matches packets that leave by lo: oif "lo". It is the first question for every packet,
// and a number is compared faster than a name.
func ToLoopback() []expr.Any { return isLoopback(expr.MetaKeyOIF) }

// FromLoopback matches packets that come by lo: iif "lo".
func FromLoopback() []expr.Any { return isLoopback(expr.MetaKeyIIF) }

func isLoopback(key expr.MetaKey) []expr.Any {
	return []expr.Any{meta(key), compareTo(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(loopback)...)}
}

// Family matches IPv4 or IPv6: meta nfproto.
func Family(proto byte) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyNFPROTO), compareTo(expr.CmpOpEq, proto)}
}

// L4Proto matches the transport protocol: meta l4proto.
func L4Proto(proto byte) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyL4PROTO), compareTo(expr.CmpOpEq, proto)}
}

// Cgroup matches packets of sockets created in a cgroup or below it: socket cgroupv2 level.
func Cgroup(level uint32, id uint64) []expr.Any {
	return []expr.Any{
		&expr.Socket{Key: expr.SocketKeyCgroupv2, Level: level, Register: reg1},
		compareTo(expr.CmpOpEq, binary.NativeEndian.AppendUint64(nil, id)...),
	}
}

// AnySocket matches packets for which the kernel has a socket: socket transparent 0. The socket may
// be the remains of a connection (TIME-WAIT) or the beginning of one. It does not match sockets of
// transparent proxies, which need a capability.
func AnySocket() []expr.Any {
	return []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: reg1}, compareTo(expr.CmpOpEq, 0)}
}

// FullSocket matches packets of a socket that a process has: socket mark 0x0-0xffffffff. Every mark
// is in that range. Without such a socket the load of the mark fails, and with it the rule.
func FullSocket() []expr.Any {
	return []expr.Any{
		&expr.Socket{Key: expr.SocketKeyMark, Register: reg1},
		// The kernel compares ranges in network order.
		&expr.Range{Op: expr.CmpOpEq, Register: reg1, FromData: []byte{0, 0, 0, 0}, ToData: []byte{0xff, 0xff, 0xff, 0xff}},
	}
}

// TCP flags, as in the header's 14th byte.
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	ACK = 0x10
)

// TCPFlags matches TCP packets whose flags under the mask are exactly want: tcp flags want / mask.
func TCPFlags(mask, want byte) []expr.Any {
	return append(L4Proto(unix.IPPROTO_TCP),
		payload(expr.PayloadBaseTransportHeader, 13, 1), bits(mask), compareTo(expr.CmpOpEq, want))
}

// OpensNoTCP matches TCP packets that open no connection: tcp flags & (syn | ack) != syn.
func OpensNoTCP() []expr.Any {
	return append(L4Proto(unix.IPPROTO_TCP),
		payload(expr.PayloadBaseTransportHeader, 13, 1), bits(SYN|ACK), compareTo(expr.CmpOpNeq, SYN))
}

// CarriesPayload matches packets with at least one byte behind the transport header: @ih,0,8
// 0x0-0xff. The comparison always holds. Without such a byte the load fails, and with it the rule.
func CarriesPayload() []expr.Any {
	return []expr.Any{payload(payloadInner, 0, 1), compareTo(expr.CmpOpGte, 0x00), compareTo(expr.CmpOpLte, 0xff)}
}

// ICMPType matches a range of ICMP types: icmp type from-to.
func ICMPType(from, to byte) []expr.Any {
	return append(append(Family(unix.NFPROTO_IPV4), L4Proto(unix.IPPROTO_ICMP)...), headerType(from, to)...)
}

// ICMPv6Type matches a range of ICMPv6 types: icmpv6 type from-to.
func ICMPv6Type(from, to byte) []expr.Any {
	return append(append(Family(unix.NFPROTO_IPV6), L4Proto(unix.IPPROTO_ICMPV6)...), headerType(from, to)...)
}

func headerType(from, to byte) []expr.Any {
	load := payload(expr.PayloadBaseTransportHeader, 0, 1)
	if from == to {
		return []expr.Any{load, compareTo(expr.CmpOpEq, from)}
	}
	return []expr.Any{load, compareTo(expr.CmpOpGte, from), compareTo(expr.CmpOpLte, to)}
}

// HopLimit matches the hop limit of an IPv6 packet: ip6 hoplimit. An earlier part of the rule must
// match IPv6.
func HopLimit(n byte) []expr.Any {
	return []expr.Any{payload(expr.PayloadBaseNetworkHeader, 7, 1), compareTo(expr.CmpOpEq, n)}
}

// NeighbourDiscovery matches neighbour solicitations and advertisements that no router has
// forwarded.
func NeighbourDiscovery() []expr.Any { return append(ICMPv6Type(135, 136), HopLimit(255)...) }

// Limit matches at most rate packets a second, after a first burst of the same number: limit rate
// N/second.
func Limit(rate uint32) []expr.Any {
	return []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(rate), Unit: expr.LimitTimeSecond, Burst: rate}}
}

// Connection states, for [CTState].
const (
	Established = expr.CtStateBitESTABLISHED
	Related     = expr.CtStateBitRELATED
	Invalid     = expr.CtStateBitINVALID
	Untracked   = expr.CtStateBitUNTRACKED
)

// CTState matches packets in one of the states: ct state.
func CTState(states uint32) []expr.Any {
	return ctBits(expr.CtKeySTATE, states)
}

// CTDestinationNAT matches packets of connections whose destination was rewritten: ct status dnat.
func CTDestinationNAT() []expr.Any { return ctBits(expr.CtKeySTATUS, 0x20) }

func ctBits(key expr.CtKey, mask uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: reg1},
		bits(binaryutil.NativeEndian.PutUint32(mask)...),
		compareTo(expr.CmpOpNeq, 0, 0, 0, 0),
	}
}

// ToLocal matches packets to one of the host's own addresses: fib daddr type local.
func ToLocal() []expr.Any { return toType(unix.RTN_LOCAL) }

// NotToLocal matches packets to any address but the host's own: fib daddr type != local.
func NotToLocal() []expr.Any { return destinationType(expr.CmpOpNeq, unix.RTN_LOCAL) }

// ToUnicast matches packets to an address of another host: fib daddr type unicast.
func ToUnicast() []expr.Any { return toType(unix.RTN_UNICAST) }

// ToAnycast matches packets to an address that the host shares with others: fib daddr type anycast.
// On a host that forwards IPv6, the first address of each of its networks is one.
func ToAnycast() []expr.Any { return toType(unix.RTN_ANYCAST) }

// ToBroadcast matches packets to a broadcast address: fib daddr type broadcast.
func ToBroadcast() []expr.Any { return toType(unix.RTN_BROADCAST) }

// ToMulticast matches packets to a multicast address: fib daddr type multicast.
func ToMulticast() []expr.Any { return toType(unix.RTN_MULTICAST) }

// FromLocal matches packets whose source is one of the namespace's own addresses: fib saddr type
// local.
func FromLocal() []expr.Any { return fromLocal(expr.CmpOpEq) }

// FromElsewhere matches packets with any other source: fib saddr type != local.
func FromElsewhere() []expr.Any { return fromLocal(expr.CmpOpNeq) }

func fromLocal(op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg1, FlagSADDR: true, ResultADDRTYPE: true},
		compareTo(op, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)...),
	}
}

func toType(t uint32) []expr.Any { return destinationType(expr.CmpOpEq, t) }

func destinationType(op expr.CmpOp, t uint32) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
		compareTo(op, binaryutil.NativeEndian.PutUint32(t)...),
	}
}

// Untrack exempts the packet from connection tracking: notrack.
func Untrack() []expr.Any { return []expr.Any{&expr.Notrack{}} }

// Mark matches packets with the mark: meta mark.
func Mark(mark uint32) []expr.Any {
	return []expr.Any{meta(expr.MetaKeyMARK), compareTo(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(mark)...)}
}

// SetMark gives the packet a mark: meta mark set.
func SetMark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: reg1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1},
	}
}

// SourcePort matches TCP packets from a port.
func SourcePort(port uint16) []expr.Any { return protocolPort(unix.IPPROTO_TCP, 0, port) }

// DestPort matches TCP packets to a port.
func DestPort(port uint16) []expr.Any { return protocolPort(unix.IPPROTO_TCP, 2, port) }

// UDPTo matches UDP packets to a port.
func UDPTo(port uint16) []expr.Any { return protocolPort(unix.IPPROTO_UDP, 2, port) }

func protocolPort(protocol byte, offset uint32, port uint16) []expr.Any {
	return append(L4Proto(protocol), payload(expr.PayloadBaseTransportHeader, offset, 2), compareTo(expr.CmpOpEq, Port(port)...))
}

// Redirect sends a TCP connection that begins here to a port of the loopback: redirect to.
func Redirect(port uint16) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: reg1, Data: Port(port)}, &expr.Redir{RegisterProtoMin: reg1}}
}

// Masquerade replaces the source address by that of the outgoing interface.
func Masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

// Count adds the packet to a named counter.
func Count(counter string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}}
}

// Accept lets the packet pass the hook.
func Accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// Drop drops the packet without an answer.
func Drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// Jump continues in another chain and returns at its end.
func Jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// Goto continues in another chain and does not return.
func Goto(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// Return continues behind the jump to this chain.
func Return() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}} }

// RejectTCP answers with a reset. The caller sees it at once. With an ICMP error it would send its
// SYN again first.
func RejectTCP() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
}

// Reject answers with an ICMP error, administratively prohibited.
func Reject() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}
